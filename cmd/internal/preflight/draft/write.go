package draft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dirtbike/cmd/internal/console"
	"dirtbike/schemas"
)

// file is a configuration to be written.
type file struct {
	// source and clickhouse are addresses as they are written.
	source, clickhouse string
	// name is the database's, prefix what topics and ClickHouse's database are called after it.
	name, prefix string
	notes        []string
	tables       []*Table
}

// text writes the whole file.
func (f *file) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# A first configuration for database %s, drafted by dirtbike init. Read it before you use it: what is private, only you know.
# dirtbike explain config shows every key. Next: fill in the addresses marked CHANGE, then run dirtbike check.
source:
  url: %s
`, strconv.Quote(f.name), strconv.Quote(f.source))
	for _, note := range f.notes {
		fmt.Fprintf(&b, "  # %s\n", note)
	}
	b.WriteString("  # One table a line. A table that is made later is not captured before it is named here, and its columns under privacy.\n  tables:\n")
	for _, t := range f.tables {
		b.WriteString("    " + entry(t) + "\n")
	}
	fmt.Fprintf(&b, `kafka:
  brokers: ["kafka:9092"] # CHANGE
  prefix: %[1]s
registry:
  url: "http://registry:8081" # CHANGE
clickhouse:
  url: %[2]s # CHANGE
  database: %[1]s
`, f.prefix, strconv.Quote(f.clickhouse))
	f.writePrivacy(&b)
	return b.String()
}

// entry names a table, with what is known of it; one that cannot be captured is commented out, with the reason.
func entry(t *Table) string {
	switch {
	case t.Obstacle != nil && unnameable(t) == "":
		return "# - " + glob(t.FullName()) + " # left out: " + printed(t.Obstacle.Error())
	case t.Obstacle != nil:
		return "# left out: " + strconv.Quote(t.FullName()) + ": " + printed(t.Obstacle.Error())
	}
	rows := "rows not counted yet"
	if t.Rows >= 0 {
		rows = "about " + estimate(t.Rows) + " rows"
	}
	facts := []string{size(t.Bytes), rows, "key " + strings.Join(t.Key, ", "), "replica identity " + t.Identity}
	return "- " + glob(t.FullName()) + " # " + printed(strings.Join(append(facts, t.Notes...), "; "))
}

// writePrivacy writes every table and column by its name.
func (f *file) writePrivacy(b *strings.Builder) {
	b.WriteString(`privacy:
  # allowlist: a column that is not named is withheld, also one that is added later. The policies below are guesses from names and types.
  # dirtbike check prints the rights and the column list that keep what is dropped in Postgres itself (postgres-withheld).
  # keep: as it is; drop: not there; mask: a constant; hash: the same pseudonym for the same value; zip3: three digits; year: the year alone.
  mode: allowlist
  columns:
`)
	for _, t := range f.tables {
		if t.Obstacle == nil {
			fmt.Fprintf(b, "    %s:\n%s", strconv.Quote(t.FullName()), columns(t.relation))
		}
	}
}

// columns writes a line for each column, and the reasons below each other.
func columns(rel *schemas.Relation) string {
	lines, reasons, width := make([]string, len(rel.Columns)), make([]string, len(rel.Columns)), 0
	for i := range rel.Columns {
		c := &rel.Columns[i]
		g := guessColumn(c, slices.Contains(rel.Key, i))
		if c.Name == "*" {
			lines[i] = "      # the column called * cannot be named here, and is withheld"
		} else {
			lines[i], reasons[i] = "      "+strconv.Quote(c.Name)+": "+g.policy, g.why
		}
		width = max(width, utf8.RuneCountInString(lines[i]))
	}
	for i, why := range reasons {
		if why != "" {
			lines[i] += strings.Repeat(" ", width-utf8.RuneCountInString(lines[i])) + " # " + console.OneLine(why)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// glob writes an entry of source.tables as YAML; "${" is no reference there.
func glob(s string) string { return strings.ReplaceAll(strconv.Quote(s), "${", "$${") }

// printed is a comment of names, which may hold what no file of text does.
func printed(s string) string { return console.OneLine(console.Printable(s)) }

// nameOf makes a name for topics and ClickHouse's database.
func nameOf(database string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(schemas.EscapeName(database)) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteRune(c)
		}
	}
	const most = 48
	name := b.String()
	name = name[:min(len(name), most)]
	switch {
	case name == "default", name == "system", name == "information_schema": // ClickHouse's own
		return "db_" + name
	case name == "" || name[0] == '_' || name[0] >= '0' && name[0] <= '9':
		return "db" + name
	}
	return name
}
