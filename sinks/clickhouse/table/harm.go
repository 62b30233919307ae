package table

import (
	"slices"
	"strings"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/block"
)

// harm follows what was done to the columns of a storage table (ledger.Mutation).
type harm struct {
	// types are a column's by its name in storage, Nullable and not, without spaces; "" of our own columns.
	types map[string][2]string
	now   map[string]string // which of them is under a name
	found string            // what lost values; "" for nothing
}

// Harm says what of the mutations of a storage table, the oldest first, has lost or changed values: "" if none has, or
// what was done has been undone. away says that a column has another name now: what is under its own is another one.
// The text names columns and no value.
func Harm(contract *schemas.Table, commands []string) (found string, away bool) {
	h := &harm{types: map[string][2]string{}, now: map[string]string{}}
	for _, c := range block.New(contract).Columns() {
		h.types[c.Name], h.now[c.Name] = [2]string{}, c.Name
	}
	for i := range contract.Columns {
		c := &contract.Columns[i]
		h.types[schemas.ClickHouseStorageColumn(c.Name)] = [2]string{compact(schemas.ClickHouseType(c.Type, true)), compact(schemas.ClickHouseType(c.Type, false))}
	}
	for _, command := range commands {
		h.take(strings.TrimSuffix(command, ")"))
	}
	for name := range h.types {
		switch was, is := h.now[name]; {
		case !is:
			away = true
		case was != name && h.found == "":
			h.found = "RENAME COLUMN " + was + " TO " + name
		}
	}
	return h.found, away
}

// take takes one command, without the parentheses around it.
func (h *harm) take(command string) {
	verb, rest := command, ""
	for _, known := range []string{"DROP COLUMN ", "CLEAR COLUMN ", "MODIFY COLUMN ", "RENAME COLUMN ", "UPDATE ", "DELETE ", "MATERIALIZE TTL"} {
		if after, is := strings.CutPrefix(command, known); is {
			verb, rest = strings.TrimSpace(known), strings.TrimPrefix(after, "IF EXISTS ")
		}
	}
	name, after := ident(rest)
	column, ours := h.now[name]
	switch verb {
	case "RENAME COLUMN":
		if to, _ := ident(strings.TrimPrefix(after, "TO ")); ours {
			delete(h.now, name)
			h.now[to] = column
		}
		return
	case "MODIFY COLUMN":
		if types, now := h.types[column], compact(typeAt(after)); !ours || types[0] == "" || slices.Contains(types[:], now) || now == "" {
			return
		}
	case "DROP COLUMN", "CLEAR COLUMN":
		if !ours {
			return
		}
	case "UPDATE", "DELETE", "MATERIALIZE TTL":
		name = ""
	default:
		return
	}
	if h.found == "" {
		h.found = strings.TrimSpace(verb + " " + name)
	}
}

// ident takes an identifier from the beginning of a command.
func ident(text string) (name, after string) {
	if !strings.HasPrefix(text, "`") {
		name, after, _ = strings.Cut(text, " ")
		return name, after
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case text[i] == '`':
			return b.String(), strings.TrimPrefix(text[i+1:], " ")
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), ""
}

// typeAt is the type at the beginning of what follows a column's name.
func typeAt(text string) string {
	depth := 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ' ' && depth == 0:
			return text[:i]
		}
	}
	return text
}
