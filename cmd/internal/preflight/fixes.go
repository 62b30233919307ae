package preflight

import (
	"slices"
	"strings"

	"dirtbike/cdc"
)

// All statements that name tables name the same ones: those that are captured, and those that would be once what is
// printed before is done. One that can only be left out is in none of them: it would not be read, and without a key
// Postgres would refuse its updates as soon as it is published. So the printed commands, each run once and in their
// order, are enough.

// excluded are the tables that can only be left out: all checks print the same source.tables, since the line
// replaces the key, so that one which names a single table would take the others back in.
func (r *run) excluded(listed []*cdc.Table, tables []table, clashing map[string][]string, order []string) (out []string) {
	for _, t := range listed {
		if t.Refused != nil && r.fixOf(t, tables) == "" {
			out = append(out, t.FullName())
		}
	}
	for _, why := range order {
		names := clashing[why]
		out = append(out, names[min(1, len(names)-1):]...) // the first of those that share a name may keep it
	}
	return out
}

// capturableAfterFixes gives what Postgres says of the tables that are not leaving.
func capturableAfterFixes(listed []*cdc.Table, tables []table, leaving []string) (out []table) {
	for _, t := range listed {
		at := slices.IndexFunc(tables, func(other table) bool { return other.oid == t.OID })
		if at < 0 || slices.Contains(leaving, t.FullName()) {
			continue // gone by now, or to be left out
		}
		staying := tables[at]
		staying.listed = t
		out = append(out, staying)
	}
	slices.SortFunc(out, func(a, b table) int { return strings.Compare(a.plain, b.plain) })
	return out
}

// needsFix are the names of the tables that cannot be captured yet.
func needsFix(tables []table) (names []string) {
	for _, t := range tables {
		if t.listed.Refused != nil && !t.listed.RefusedByConfig {
			names = append(names, t.name)
		}
	}
	return names
}

// fixStatements are the statements after which the table can be captured; empty if there are none that keep its rows as
// they are.
func (t *table) fixStatements() string {
	alter := "ALTER TABLE " + t.name + " "
	var lines []string
	if t.persistence == "u" {
		lines = append(lines, alter+setLogged)
	}
	nothing := t.identity == "n" || t.identity == "i" && !t.indexed
	identified := !nothing && (t.identity == "i" || t.keyed)
	switch {
	case t.kind == "p":
		return ""
	case identified && t.persistence == "u":
	case nothing && t.keyed:
		lines = append(lines, alter+"REPLICA IDENTITY DEFAULT;")
	case t.constraint != "" && nothing:
		lines = append(lines, t.undeferred(), alter+"REPLICA IDENTITY DEFAULT;")
	case t.constraint != "" && t.identity != "i":
		lines = append(lines, t.undeferred())
	case t.candidate != "":
		lines = append(lines, alter+"REPLICA IDENTITY USING INDEX "+t.candidate+";")
	default:
		return ""
	}
	return strings.Join(lines, "\n")
}

// undeferred makes the key again, not deferrable. Postgres writes that last, after the columns, whose names may hold
// the word, too.
func (t *table) undeferred() string {
	key := t.definition
	if at := strings.LastIndex(key, " DEFERRABLE"); at >= 0 {
		key = key[:at]
	}
	return "ALTER TABLE " + t.name + dropKey + t.constraint + ", ADD CONSTRAINT " + t.constraint + " " + key + ";"
}

// What takes long and locks the table.
const (
	dropKey   = " DROP CONSTRAINT "
	setLogged = "SET LOGGED;"
)

// heavy reports whether a fix writes the whole table again, or an index of it.
func heavy(command string) bool {
	return strings.Contains(command, dropKey) || strings.Contains(command, " "+setLogged)
}

// fixRole is who may run the fix: a new key makes an index, for which the owner needs CREATE on the schema.
func fixRole(t *cdc.Table, tables []table) string {
	at := slices.IndexFunc(tables, func(other table) bool { return other.oid == t.OID })
	if at < 0 {
		return ""
	}
	return ownerOf(tables[at:at+1], func(t table) bool { return t.constraint == "" || t.rights.OwnerBuilds })
}

// orSuperuser follows the name of a role that suffices.
const orSuperuser = ", the owner, or a superuser"

// ownerOf names the tables' owner, if they have one, and it has the other rights that the statement needs; otherwise it
// is empty, which means a superuser.
func ownerOf(tables []table, may func(table) bool) string {
	return owner(tables, func(t table) string {
		if !t.rights.OwnerUses || !may(t) {
			return ""
		}
		return t.rights.Owner
	})
}

// owner is who owns them all; empty if that is not one role.
func owner(tables []table, of func(table) string) string {
	name := ""
	for i, t := range tables {
		if i > 0 && of(t) != name || of(t) == "" {
			return ""
		}
		name = of(t)
	}
	if name == "" {
		return ""
	}
	return name + orSuperuser
}

func always(table) bool { return true }
