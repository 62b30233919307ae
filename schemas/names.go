package schemas

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// OwnPrefix begins the names of dirtbike's own topics (state, progress, control). No table topic can begin with it: a
// configured prefix begins with a letter (rule 12).
const OwnPrefix = "_dirtbike."

// The names of a topic's Avro records are the topic's and one of these.
const (
	KeySuffix      = ".Key"
	ValueSuffix    = ".Value"
	EnvelopeSuffix = ".Envelope"
	SourceSuffix   = ".Source"
)

// TopicName gives the topic of a table: "<prefix>.<schema>.<table>", each part escaped.
func TopicName(prefix, schema, table string) string {
	return prefix + "." + EscapeName(schema) + "." + EscapeName(table)
}

// SplitTopic is the inverse of TopicName: the table's real names; ok is false for a topic that is no table's of this
// prefix, also where it only looks like one's: "oth_x0065_r" would be read as "other", which is never written so.
func SplitTopic(topic, prefix string) (schema, table string, ok bool) {
	rest, ok := strings.CutPrefix(topic, prefix+".")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return "", "", false
	}
	schema, table = UnescapeName(parts[0]), UnescapeName(parts[1])
	return schema, table, TopicName(prefix, schema, table) == topic // an alias of a name is no table's topic
}

// StateTopic holds one record per part of the pipeline's state.
func StateTopic(prefix string) string { return OwnPrefix + prefix + ".state" }

// ControlTopic holds truncates, and the opens and ends of generations (rules 11 and 13).
func ControlTopic(prefix string) string { return OwnPrefix + prefix + ".control" }

// ProgressTopic holds one record per commit: see cdc/EXACTNESS.md, "Formats".
func ProgressTopic(prefix string) string { return OwnPrefix + prefix + ".progress" }

// EscapeName maps a Postgres name reversibly to an Avro name (which Kafka accepts too): every character that is not
// [A-Za-z0-9_] (or a digit in front) becomes _xHHHH_ with its code point in at least four hexadecimal digits, and so
// does an underscore that would otherwise begin such a sequence.
func EscapeName(s string) string {
	var b strings.Builder
	for i, r := range s {
		if legal(r, i == 0) && (r != '_' || !opensEscape(s[i:])) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "_x%04X_", r)
		}
	}
	return b.String()
}

// UnescapeName is the inverse of EscapeName.
func UnescapeName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := escapeLen(s[i:]); n > 0 {
			code, _ := strconv.ParseInt(s[i+2:i+n-1], 16, 32) // escapeLen saw that these are hexadecimal digits
			b.WriteRune(rune(code))
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

func legal(r rune, first bool) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_':
		return true
	case r >= '0' && r <= '9':
		return !first
	}
	return false
}

// opensEscape reports whether the underscore at the start of s must be escaped. In "_x0041é" it must, for the escape of
// é brings the closing underscore.
func opensEscape(s string) bool {
	if !strings.HasPrefix(s, "_x") {
		return false
	}
	n := hexEnd(s)
	return n >= 6 && n < len(s) && (s[n] == '_' || !legal(rune(s[n]), false))
}

// hexEnd gives the end of the at most six hexadecimal digits after "_x".
func hexEnd(s string) int {
	n := 2
	for n < len(s) && n < 8 && (s[n] >= '0' && s[n] <= '9' || s[n] >= 'A' && s[n] <= 'F') {
		n++
	}
	return n
}

// escapeLen gives the length of an escape sequence at the start of s, 0 if there is none.
func escapeLen(s string) int {
	if !strings.HasPrefix(s, "_x") {
		return 0
	}
	n := hexEnd(s)
	if n < 6 || n >= len(s) || s[n] != '_' {
		return 0
	}
	code, err := strconv.ParseInt(s[2:n], 16, 32)
	if err != nil || !utf8.ValidRune(rune(code)) {
		return 0
	}
	return n + 1
}

// ClickHouse's bookkeeping columns (rule 21) and the view's own column (rule 31).
const (
	ColVersion   = "_version"
	ColDeleted   = "_deleted"
	ColPartition = "_partition"
	ColOffset    = "_offset"
	ColLeaf      = "_leaf"
	ColInexact   = "_inexact"
	ColKeyPrefix = "_key_" // exact integers of inexact key columns: _key_<column>
)

// escapedUnderscore and escapedDot begin the changed names of columns.
const (
	escapedUnderscore = "_x005F_"
	escapedDot        = "_x002E_"
)

// ClickHouseColumn gives the column's name in its view: its real name, unless it is that of the view's own column, or
// what such a name becomes.
func ClickHouseColumn(name string) string {
	own := name
	for strings.HasPrefix(own, escapedUnderscore) {
		own = "_" + own[len(escapedUnderscore):]
	}
	if own == ColInexact {
		return escapedUnderscore + name[1:]
	}
	return name
}

// ClickHouseStorageColumn gives the column's name in the storage. There a name that begins with an underscore may be a
// column of dirtbike's own, or one that ClickHouse itself has in every table (_row_exists, _block_number, _part, …),
// and arrays whose names have a dot would need the same length as others of the same beginning: such names are escaped.
// Any other name is the real one, and begins otherwise than these.
func ClickHouseStorageColumn(name string) string {
	switch {
	case strings.HasPrefix(name, "_"):
		return escapedUnderscore + EscapeName(name[1:])
	case strings.Contains(name, "."):
		return escapedDot + EscapeName(name)
	}
	return name
}

// ClickHouseView gives the name people query: the table's, or "<schema>_<table>" outside schema public.
func ClickHouseView(schema, table string) string {
	if schema == "public" {
		return table
	}
	return schema + "_" + table
}

// ClickHouseStorage gives the storage table of a generation: "<view>__g<N>" in database "<database>_raw".
func ClickHouseStorage(schema, table string, generation uint32) string {
	return ClickHouseView(schema, table) + "__g" + strconv.FormatUint(uint64(generation), 10)
}

// StorageDatabase is where storage tables and bookkeeping live.
func StorageDatabase(database string) string { return database + "_raw" }

// maxTopicName is Kafka's limit.
const maxTopicName = 249

// storageRoom is how many characters of a file's name ClickHouse leaves to database and table together: of 255 it needs
// the rest for the files of a table that is dropped. Of storage, the generation's number may still grow.
const storageRoom = 213

// fileLength is the length of a name as ClickHouse writes it in a file's: it escapes each byte of what is no letter,
// digit or underscore.
func fileLength(name string) int {
	n := len(name)
	for i := range len(name) {
		if c := rune(name[i]); c > utf8.RuneSelf || !legal(c, false) {
			n += len("%XX") - 1
		}
	}
	return n
}

// tooLong says that ClickHouse could not store the table; empty if it can.
func tooLong(database string, t *Relation) string {
	need := fileLength(ClickHouseStorage(t.Schema, t.Name, math.MaxUint32))
	if room := storageRoom - fileLength(StorageDatabase(database)); need > room {
		return fmt.Sprintf("%s would have storage in ClickHouse whose name takes %d characters in a file's, %d fit", t.FullName(), need, room)
	}
	return ""
}

// Collision says that a name is not allowed, or that two tables would share one.
type Collision struct {
	Tables []int // the places of those concerned in the list that Collisions was given: one, or two
	// Text is one line for people.
	Text string
}

// Collisions finds tables that would share a topic, a view or a place in the state (rule 12), or that need a name which
// is not allowed; database is ClickHouse's. Kafka itself refuses topics that are equal after '.' became '_'.
func Collisions(prefix, database string, tables []*Relation) []Collision {
	names, topics, views := map[string]int{}, map[string]int{}, map[string]int{}
	var out []Collision
	clash := func(taken map[string]int, by string, i int, format string, args ...any) {
		if other, ok := taken[by]; ok {
			out = append(out, Collision{[]int{other, i}, fmt.Sprintf(format, append([]any{tables[other].FullName(), tables[i].FullName()}, args...)...)})
		}
		taken[by] = i
	}
	for i, t := range tables {
		name, topic, view := t.FullName(), TopicName(prefix, t.Schema, t.Name), ClickHouseView(t.Schema, t.Name)
		clash(names, name, i, "two tables are both called %[1]s, by a dot in a name")
		clash(topics, strings.ReplaceAll(topic, ".", "_"), i, "%s and %s would share a topic (Kafka takes '.' and '_' for the same)")
		clash(views, view, i, "%s and %s would share the ClickHouse view %q", view)
		if view == "complete_up_to" {
			out = append(out, Collision{[]int{i}, fmt.Sprintf("%s would take the name of dirtbike's own view %q", name, view)})
		}
		if len(topic) > maxTopicName {
			out = append(out, Collision{[]int{i}, fmt.Sprintf("%s would have a topic name of %d characters, Kafka takes %d", name, len(topic), maxTopicName)})
		} else if long := tooLong(database, t); long != "" {
			out = append(out, Collision{[]int{i}, long})
		}
	}
	return out
}
