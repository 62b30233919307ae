// Package inventory says which columns leave Postgres, under which policy, and who named them. It is the one place that
// works this out: `dirtbike inventory`, check, status, readyz, the metric privacy_open and the log at a start all say
// what it gives.
package inventory

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/config"
)

// Inventory is what `dirtbike inventory --json` prints. Names and order of its fields are a contract.
type Inventory struct {
	// Config is the config file.
	Config string `json:"config"`
	// Mode is privacy.mode, allowlist or open; none without a privacy section, which is open.
	Mode string `json:"mode"`
	// Tables are those that source.tables names, in the order of their names; never null.
	Tables []Table `json:"tables"`
}

// Table is one table that source.tables names.
type Table struct {
	// Table is "schema.table", real names.
	Table        string `json:"table"`
	Schema, Name string `json:"-"`
	// Entry of source.tables that names it, and its line in the file.
	Entry string `json:"entry"`
	Line  int    `json:"line"`
	// Reason says why the table cannot be captured, so that nothing of it leaves; empty if it can.
	Reason string `json:"reason"`
	// Columns in the table's order, without stored generated ones, which never leave; never null.
	Columns []Column `json:"columns"`
}

// Column is what happens to one column.
type Column struct {
	Column string `json:"column"`
	// Type is Postgres' own name of it.
	Type string `json:"type"`
	// Policy is keep, drop, mask, hash, zip3 or year.
	Policy string `json:"policy"`
	// Leaves says that something of its values leaves Postgres' side: it is captured, and its policy is not drop.
	Leaves bool `json:"leaves"`
	// NamedBy is column (the config names it), wildcard (by "*" of its table), mode (by privacy.mode alone) or none
	// (there is no privacy section).
	NamedBy string `json:"named_by"`
	// Key of the config that decides, and its line; empty and 0 if there is none.
	Key  string `json:"key"`
	Line int    `json:"line"`
	// Open says that it leaves as it is though nobody named it.
	Open bool `json:"open"`
	// Sent says that Postgres sends its values to capture, which applies the policy; false where the publication's
	// column list keeps them in Postgres.
	Sent bool `json:"sent"`
}

// Of works out the inventory of the tables that source.tables names, as the catalog lists them. left says why capture
// has left a table out, though the catalog alone does not refuse it; nil where that is not known.
func Of(c *config.Config, tables []*cdc.Table, left func(*cdc.Table) error) Inventory {
	out := Inventory{Config: c.Path(), Mode: "none", Tables: []Table{}}
	if c.Privacy != nil {
		out.Mode = string(c.Privacy.Mode)
	}
	for _, t := range tables {
		entry, line := c.Source.NamedBy(t.Schema, t.Name)
		table := Table{Table: t.FullName(), Schema: t.Schema, Name: t.Name, Entry: entry, Line: line, Columns: []Column{}}
		why := t.Refused
		if why == nil && left != nil {
			why = left(t)
		}
		if why != nil {
			table.Reason = cdc.Explain(why).Error()
		}
		for _, column := range allColumns(t) {
			d := c.Privacy.Decide(t.Schema, t.Name, column.Name)
			leaves := why == nil && d.Policy != config.Drop
			table.Columns = append(table.Columns, Column{
				Column: column.Name, Type: column.Type, Policy: string(d.Policy), Leaves: leaves,
				NamedBy: string(d.By), Key: d.Key, Line: d.Line, Open: leaves && d.Open(), Sent: !slices.Contains(t.Unsent, column),
			})
		}
		out.Tables = append(out.Tables, table)
	}
	return out
}

// allColumns are those that are sent and those that are not, in the table's order.
func allColumns(t *cdc.Table) []cdc.Column {
	all := append(slices.Clone(t.Columns), t.Unsent...)
	slices.SortFunc(all, func(a, b cdc.Column) int { return int(a.Number) - int(b.Number) })
	return all
}

// OpenColumns counts the columns that leave as they are though nobody named them.
func (i Inventory) OpenColumns() (n int) {
	for _, t := range i.Tables {
		n += len(t.open())
	}
	return n
}

// open are the names of the table's open columns.
func (t Table) open() (names []string) {
	for _, c := range t.Columns {
		if c.Open {
			names = append(names, c.Column)
		}
	}
	return names
}

// Summary counts, in one line: what leaves under which policy, and what is withheld.
func (i Inventory) Summary() string {
	by, leave, all, tables := map[string]int{}, 0, 0, 0
	for _, t := range i.Tables {
		some := false
		for _, c := range t.Columns {
			all++
			if c.Leaves {
				leave, some = leave+1, true
				by[c.Policy]++
			}
		}
		if some {
			tables++
		}
	}
	if leave == 0 {
		return fmt.Sprintf("none of %d columns leaves Postgres", all) + i.travelling()
	}
	var policies []string
	for _, policy := range slices.Sorted(maps.Keys(by)) {
		policies = append(policies, fmt.Sprintf("%s %d", policy, by[policy]))
	}
	of := fmt.Sprintf("%d tables", tables)
	if tables == 1 {
		of = "1 table"
	}
	return fmt.Sprintf("%d of %d columns leave Postgres, of %s: %s", leave, all, of, strings.Join(policies, ", ")) + i.travelling()
}

// travelling says how many withheld columns Postgres sends all the same; empty if none.
func (i Inventory) travelling() string {
	switch n := i.Travelling(); n {
	case 0:
		return ""
	case 1:
		return "; 1 more is sent to capture, which withholds it"
	default:
		return fmt.Sprintf("; %d more are sent to capture, which withholds them", n)
	}
}

// Travelling counts the columns that Postgres sends to capture, of which nothing leaves capture.
func (i Inventory) Travelling() (n int) {
	for _, t := range i.Tables {
		for _, c := range t.Columns {
			if t.travels(c) {
				n++
			}
		}
	}
	return n
}

// travels reports whether the column is sent to capture and withheld there. Nothing is asked for of a table that cannot
// be captured.
func (t Table) travels(c Column) bool { return c.Sent && !c.Leaves && t.Reason == "" }

// Warning names the columns that leave as they are though nobody named them, and what decides so; nil if there are
// none.
func (i Inventory) Warning() *cdc.Problem {
	n := i.OpenColumns()
	if n == 0 {
		return nil
	}
	var tables []string
	for _, t := range i.Tables {
		if names := t.open(); len(names) > 0 {
			tables = append(tables, t.Table+" ("+cdc.Few(names)+"; "+i.because(t)+")")
		}
	}
	verb := "columns that nobody named leave"
	if n == 1 {
		verb = "column that nobody named leaves"
	}
	return cdc.Failed("%d %s Postgres as they are: %s", n, verb, cdc.Few(tables)).
		Fix("name them under privacy.columns, in mode allowlist and without \"*\"; dirtbike inventory lists every column")
}

// because says what decides about the table's open columns; it is the same for all of them.
func (i Inventory) because(t Table) string {
	at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Open })
	return t.Columns[at].decidedBy()
}

// decidedBy says who named the column, in words.
func (c Column) decidedBy() string {
	switch config.Reason(c.NamedBy) {
	case config.ByName:
		return fmt.Sprintf("line %d", c.Line)
	case config.ByWildcard:
		return fmt.Sprintf("by \"*\" in line %d", c.Line)
	case config.ByMode:
		return fmt.Sprintf("nobody: privacy.mode, line %d", c.Line)
	case config.ByNothing:
	}
	return "nobody: there is no privacy section"
}

// Same reports whether both say the same.
func (i Inventory) Same(other Inventory) bool { return reflect.DeepEqual(i, other) }

// What ByPolicy calls columns of which nothing leaves: Withheld in capture, to which Postgres sends them, or Kept in
// Postgres.
const (
	Withheld = "withheld"
	Kept     = "kept_in_postgres"
)

// ByPolicy are the names of the table's columns by the policy under which they leave, or Withheld or Kept.
func (t Table) ByPolicy() map[string][]string {
	out := map[string][]string{}
	for _, c := range t.Columns {
		policy := c.Policy
		switch {
		case c.Leaves:
		case c.Sent:
			policy = Withheld
		default:
			policy = Kept
		}
		out[policy] = append(out[policy], c.Column)
	}
	return out
}
