package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
)

// Table names a Postgres table and what a privacy policy makes of it.
type Table struct {
	// Schema and Name are Postgres' names, unquoted.
	Schema, Name string
	// CHDatabase has the view, which is called Name for schema public, otherwise Schema_Name.
	CHDatabase string
	// Drop lists columns that the view must not have. It must have every other one that is not generated, in the
	// table's order.
	Drop []string
	// Expr maps a column to the SQL expression over the table's row that gives the expected value after a policy, e.g.
	// "'***'" or "DATE '1970-01-01'". Its type decides how texts are compared.
	Expr map[string]string
	// Exact maps a column of Expr to the SQL expression that gives its text in `_inexact`, NULL where there is none
	// (e.g. the year of an infinite date). Columns without an entry follow the type of their expression.
	Exact map[string]string
}

// view gives the view's name.
func (t Table) view() string {
	if t.Schema == "public" {
		return t.Name
	}
	return t.Schema + "_" + t.Name
}

// Compare compares a table with its view: the columns' names, order and types, then every row and cell. The connection
// pg must be outside a transaction. It returns an error only if it could not compare; what it finds is in the Diff.
func Compare(ctx context.Context, pg *pgx.Conn, ch driver.Conn, t Table) (diff Diff, err error) {
	err = inSnapshot(ctx, pg, func() (err error) {
		diff, err = compareTable(ctx, pg, ch, t)
		return err
	})
	return diff, err
}

// comparison is one run of Compare.
type comparison struct {
	table   pgTable
	columns []chColumn // the view's, one for each of table.columns
	rows    map[string]*expectedRow
	diff    *Diff
}

// expectedRow is a row of Postgres, and whether ClickHouse has shown its key.
type expectedRow struct {
	cells []cell
	seen  bool
}

// compareTable is Compare inside the snapshot.
func compareTable(ctx context.Context, pg *pgx.Conn, ch driver.Conn, t Table) (Diff, error) {
	diff := Diff{Table: t.Schema + "." + t.Name, View: t.CHDatabase + "." + t.view(), Wrong: map[SampleKind]int{}}
	table, err := describe(ctx, pg, t)
	if err != nil {
		return diff, fmt.Errorf("oracle: describe %s: %w", diff.Table, err)
	}
	view, err := viewColumns(ctx, ch, t.CHDatabase, t.view())
	if err != nil {
		return diff, fmt.Errorf("oracle: describe %s: %w", diff.View, err)
	}
	var rowsFit bool
	if diff.Columns, rowsFit = checkColumns(table, view); !rowsFit {
		return diff, nil
	}
	c := comparison{table: table, columns: view[:len(table.columns)], rows: map[string]*expectedRow{}, diff: &diff}
	if err := table.readRows(ctx, pg, c.addPostgres); err != nil {
		return diff, fmt.Errorf("oracle: %s: %w", diff.Table, err)
	}
	if err := readView(ctx, ch, t.CHDatabase, t.view(), c.columns, len(view) > len(table.columns), c.addClickHouse); err != nil {
		return diff, fmt.Errorf("oracle: %s: %w", diff.View, err)
	}
	c.addMissing()
	diff.Compared = true
	return diff, nil
}

// checkColumns says in which ways the view's columns are not the expected ones. Rows can be compared if every column is
// in its place, and nothing comes after them but `_inexact`.
func checkColumns(table pgTable, view []chColumn) (problems []string, rowsFit bool) {
	if len(view) == 0 {
		return []string{"the view does not exist"}, false
	}
	var want, have []string
	needsInexact := false
	for _, c := range table.columns {
		want = append(want, c.name)
		needsInexact = needsInexact || c.exact != ""
	}
	for _, c := range view {
		have = append(have, c.name)
		needsInexact = needsInexact || c.typ.mayBeInexact()
	}
	rowsFit = slices.Equal(have, want) || slices.Equal(have, append(slices.Clone(want), inexactColumn))
	if needsInexact {
		want = append(want, inexactColumn)
	}
	if !slices.Equal(have, want) {
		problems = append(problems, fmt.Sprintf("columns are %q, want %q", have, want))
	}
	for i, c := range table.columns {
		if rowsFit && !c.policy && !c.typ.fits(view[i].typ) {
			problems = append(problems, fmt.Sprintf("column %q is %s, want %s", c.name, view[i].typ.name, c.typ.want))
		}
	}
	return problems, rowsFit
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
	c.rows[key] = &expectedRow{cells: cells}
	c.diff.RowsPostgres++
	return nil
}

// addClickHouse compares one row of the view with the expected one of its key.
func (c *comparison) addClickHouse(row chRow) error {
	c.diff.RowsClickHouse++
	cells := make([]cell, len(c.columns))
	for i, column := range c.columns {
		var err error
		if cells[i], err = column.typ.shown(row.scalars[i], row.arrays[i]); err != nil {
			return fmt.Errorf("column %q: %w", column.name, err)
		}
		cells[i].exact, cells[i].inexact = row.inexact[column.name]
		delete(row.inexact, column.name)
	}
	key := c.key(cells)
	want := c.rows[key]
	if want == nil {
		c.diff.add(Extra, key)
		return nil
	}
	if want.seen {
		c.diff.add(Duplicate, key)
	}
	want.seen = true
	if !slices.Equal(cells, want.cells) || len(row.inexact) > 0 {
		c.differing(key, want.cells, cells, row.inexact)
	}
	return nil
}

// differing reports a row whose cells differ, or whose `_inexact` names what is no column: one count for the row, one
// sample per cell.
func (c *comparison) differing(key string, want, have []cell, unknown map[string]string) {
	c.diff.Wrong[Differing]++
	for i, w := range want {
		if w != have[i] {
			c.diff.sample(Sample{Kind: Differing, Key: key, Column: c.columns[i].name, Postgres: w.String(), ClickHouse: have[i].String()})
		}
	}
	for name, exact := range unknown {
		c.diff.sample(Sample{Kind: Differing, Key: key, Column: inexactColumn, Postgres: "no column of that name", ClickHouse: fmt.Sprintf("%q: %q", name, exact)})
	}
}

// addMissing reports the expected rows that ClickHouse never showed.
func (c *comparison) addMissing() {
	var missing []string
	for key, row := range c.rows {
		if !row.seen {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	for _, key := range missing {
		c.diff.add(Missing, key)
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
