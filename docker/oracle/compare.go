package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
)

// Table names a Postgres table, the view that should show it, and what a privacy policy makes of it.
type Table struct {
	// Schema and Name are Postgres' names, unquoted.
	Schema, Name string
	// CHDatabase and CHName name the view; an empty CHName is Name for schema public, otherwise Schema_Name.
	CHDatabase, CHName string
	// Columns the view must show, in order. Empty: every column of the table that is not generated, in the table's
	// order.
	Columns []string
	// Drop lists columns that the view must not have.
	Drop []string
	// Expr maps a column to the SQL expression over the table's row that gives the expected value after a policy, e.g.
	// "'***'" or "DATE '1970-01-01'". Its type decides how texts are compared.
	Expr map[string]string
	// Exact maps a column of Expr to the SQL expression that gives its text in `_inexact`, NULL where there is none
	// (e.g. the year of an infinite date). Columns without an entry follow the type of their expression.
	Exact map[string]string
	// AsString lists columns that the config holds as String, as Postgres' text.
	AsString []string
	// Key lists the key columns. Empty: the identity index's, otherwise the primary key's.
	Key []string
	// MaxSamples bounds Diff.Samples; 0 is 20.
	MaxSamples int
}

// view gives the view's name.
func (t Table) view() string {
	switch {
	case t.CHName != "":
		return t.CHName
	case t.Schema == "public":
		return t.Name
	}
	return t.Schema + "_" + t.Name
}

// Compare compares a table with its view: the columns' names, order and types, then every row and cell. The connection
// pg must be outside a transaction. It returns an error only if it could not compare; what it finds is in the Diff.
func Compare(ctx context.Context, pg *pgx.Conn, ch driver.Conn, t Table) (Diff, error) {
	var diff Diff
	err := inSnapshot(ctx, pg, func() (err error) {
		diff, err = compareTable(ctx, pg, ch, t)
		return err
	})
	return diff, err
}

// comparison is one run of Compare.
type comparison struct {
	table   pgTable
	columns []chColumn // the view's, one for each of table.columns
	inexact bool       // the view has `_inexact`
	rows    map[string]*expectedRow
	diff    *Diff
	limit   int
}

// expectedRow is a row of Postgres, and how often ClickHouse showed its key.
type expectedRow struct {
	cells string
	seen  int
}

// compareTable is Compare inside the snapshot.
func compareTable(ctx context.Context, pg *pgx.Conn, ch driver.Conn, t Table) (Diff, error) {
	diff := Diff{Table: t.Schema + "." + t.Name, View: t.CHDatabase + "." + t.view()}
	table, err := describe(ctx, pg, t)
	if err != nil {
		return diff, fmt.Errorf("oracle: describe %s: %w", diff.Table, err)
	}
	view, err := viewColumns(ctx, ch, t.CHDatabase, t.view())
	if err != nil {
		return diff, fmt.Errorf("oracle: describe %s: %w", diff.View, err)
	}
	if diff.Columns = checkColumns(table, view); !sameNames(table, view) {
		return diff, nil
	}
	c := comparison{table: table, columns: view[:len(table.columns)], inexact: len(view) > len(table.columns), rows: map[string]*expectedRow{}, diff: &diff, limit: t.MaxSamples}
	if c.limit == 0 {
		c.limit = 20
	}
	if err := table.readRows(ctx, pg, c.addPostgres); err != nil {
		return diff, fmt.Errorf("oracle: %s: %w", diff.Table, err)
	}
	if err := readView(ctx, ch, t.CHDatabase, t.view(), c.columns, c.inexact, c.addClickHouse); err != nil {
		return diff, fmt.Errorf("oracle: %s: %w", diff.View, err)
	}
	c.addMissing()
	diff.Compared = true
	return diff, nil
}

// checkColumns says in which ways the view's columns are not the expected ones.
func checkColumns(table pgTable, view []chColumn) []string {
	if len(view) == 0 {
		return []string{"the view does not exist"}
	}
	var want, have, problems []string
	needsInexact := false
	for _, c := range table.columns {
		want = append(want, c.name)
		needsInexact = needsInexact || c.exact != ""
	}
	for _, c := range view {
		have = append(have, c.name)
		needsInexact = needsInexact || c.typ.mayBeInexact()
	}
	if needsInexact {
		want = append(want, inexactColumn)
	}
	if strings.Join(want, "\x00") != strings.Join(have, "\x00") {
		problems = append(problems, fmt.Sprintf("columns are %q, want %q", have, want))
	}
	for i, c := range table.columns {
		if i < len(view) && view[i].name == c.name && !c.policy && !c.fits(view[i].typ) {
			problems = append(problems, fmt.Sprintf("column %q is %s, want %s", c.name, view[i].typ.name, c.wanted()))
		}
	}
	return problems
}

// sameNames reports whether rows can be compared: every column in its place, nothing after them but `_inexact`.
func sameNames(table pgTable, view []chColumn) bool {
	if len(view) != len(table.columns) && (len(view) != len(table.columns)+1 || view[len(view)-1].name != inexactColumn) {
		return false
	}
	for i, c := range table.columns {
		if view[i].name != c.name {
			return false
		}
	}
	return true
}

// addPostgres keeps an expected row.
func (c *comparison) addPostgres(values [][]byte) error {
	cells := make([]cell, len(c.columns))
	exact := values[len(cells):]
	for i, column := range c.table.columns {
		var err error
		if cells[i], err = column.typ.expect(c.columns[i].typ, values[i]); err != nil {
			return fmt.Errorf("column %q: %w", column.name, err)
		}
		if column.exact == "" {
			continue
		}
		cells[i].inexact, cells[i].exact, exact = exact[0] != nil, string(exact[0]), exact[1:]
	}
	key := c.key(cells)
	if c.rows[key] != nil {
		return fmt.Errorf("key %s is not unique in Postgres", key)
	}
	c.rows[key] = &expectedRow{cells: encodeCells(cells)}
	c.diff.RowsPostgres++
	return nil
}

// addClickHouse compares one row of the view with the expected one of its key.
func (c *comparison) addClickHouse(row chRow) error {
	c.diff.RowsClickHouse++
	cells := make([]cell, len(c.columns))
	known := 0
	for i, column := range c.columns {
		var err error
		if cells[i], err = c.table.columns[i].typ.shown(column, row, i); err != nil {
			return fmt.Errorf("column %q: %w", column.name, err)
		}
		if cells[i].inexact {
			known++
		}
	}
	key := c.key(cells)
	want := c.rows[key]
	switch {
	case want == nil:
		c.diff.add(c.limit, Sample{Kind: Extra, Key: key})
		return nil
	case want.seen > 0:
		c.diff.add(c.limit, Sample{Kind: Duplicate, Key: key})
	}
	want.seen++
	if encodeCells(cells) != want.cells || known != len(row.inexact) {
		c.differing(key, want.cells, cells, row)
	}
	return nil
}

// differing reports a row whose cells differ: one count for the row, one sample per cell.
func (c *comparison) differing(key, want string, have []cell, row chRow) {
	c.diff.Differing++
	for i, w := range decodeCells(want) {
		if w != have[i] {
			c.diff.sample(c.limit, Sample{Kind: Differing, Key: key, Column: c.columns[i].name, Postgres: w.String(), ClickHouse: have[i].String()})
		}
		delete(row.inexact, c.columns[i].name)
	}
	for name, exact := range row.inexact {
		c.diff.sample(c.limit, Sample{Kind: Differing, Key: key, Column: inexactColumn, Postgres: "no column of that name", ClickHouse: fmt.Sprintf("%q: %q", name, exact)})
	}
}

// addMissing reports the expected rows that ClickHouse never showed.
func (c *comparison) addMissing() {
	var missing []string
	for key, row := range c.rows {
		if row.seen == 0 {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	for _, key := range missing {
		c.diff.add(c.limit, Sample{Kind: Missing, Key: key})
	}
}

// key joins the key cells unambiguously.
func (c *comparison) key(cells []cell) string {
	parts := make([]string, len(c.table.key))
	for i, k := range c.table.key {
		parts[i] = fmt.Sprintf("%s=%q", c.columns[k].name, cells[k].key())
	}
	return strings.Join(parts, " ")
}
