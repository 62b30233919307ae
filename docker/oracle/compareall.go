package oracle

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
)

// Options chooses what CompareAll compares.
type Options struct {
	// Schemas whose ordinary and partitioned tables are compared; empty is public alone. Leaves count as part of their
	// root.
	Schemas []string
	// Tables gives, by "schema.name", a table's Drop, Expr and Exact.
	Tables map[string]Table
	// Skip lists tables ("schema.name") that are not captured.
	Skip []string
}

// Report is what CompareAll found: one Diff per table, by name.
type Report struct {
	Diffs []Diff
}

// Equal reports whether there was a table and every one is equal.
func (r Report) Equal() bool {
	return len(r.Diffs) > 0 && !slices.ContainsFunc(r.Diffs, func(d Diff) bool { return !d.Equal() })
}

// String lists the tables.
func (r Report) String() string {
	lines := make([]string, len(r.Diffs))
	for i, d := range r.Diffs {
		lines[i] = d.String()
	}
	return cmp.Or(strings.Join(lines, "\n"), "no table was compared")
}

// CompareAll compares every table of the schemas, all in one Postgres snapshot, with the views in a ClickHouse
// database. The error says that it could not compare; what it finds is in the Report.
func CompareAll(ctx context.Context, pgURL, chURL, database string, o Options) (Report, error) {
	pg, err := pgx.Connect(ctx, pgURL)
	if err != nil {
		return Report{}, fmt.Errorf("oracle: connect to Postgres: %w", err)
	}
	defer func() { _ = pg.Close(context.WithoutCancel(ctx)) }()
	settings, err := clickhouse.ParseDSN(chURL)
	if err != nil {
		return Report{}, fmt.Errorf("oracle: parse ClickHouse URL: %w", err)
	}
	ch, err := clickhouse.Open(settings)
	if err != nil {
		return Report{}, fmt.Errorf("oracle: open ClickHouse: %w", err)
	}
	defer func() { _ = ch.Close() }()
	var report Report
	err = inSnapshot(ctx, pg, func() error { return report.compare(ctx, pg, ch, database, o) })
	return report, err
}

// compare is CompareAll inside the snapshot.
func (r *Report) compare(ctx context.Context, pg *pgx.Conn, ch driver.Conn, database string, o Options) error {
	tables, err := discover(ctx, pg, o)
	if err != nil {
		return err
	}
	for _, t := range tables {
		t.CHDatabase = database
		diff, err := compareTable(ctx, pg, ch, t)
		if err != nil {
			return err
		}
		r.Diffs = append(r.Diffs, diff)
	}
	return nil
}

// discover lists the tables, with what the options say about them. An option that names no table is an error: a
// misspelt name would silently weaken the comparison.
func discover(ctx context.Context, pg *pgx.Conn, o Options) ([]Table, error) {
	schemas := o.Schemas
	if len(schemas) == 0 {
		schemas = []string{"public"}
	}
	names, err := collect(ctx, pg, "oracle: list tables", pgx.RowToStructByPos[relName], `
	SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' ORDER BY 1, 2`, schemas)
	if err != nil {
		return nil, err
	}
	unused := maps.Collect(maps.All(o.Tables))
	for _, name := range o.Skip {
		unused[name] = Table{}
	}
	var tables []Table
	for _, n := range names {
		t := o.Tables[n.String()]
		t.Schema, t.Name = n.Schema, n.Name
		if !slices.Contains(o.Skip, n.String()) {
			tables = append(tables, t)
		}
		delete(unused, n.String())
	}
	for name := range unused {
		return nil, fmt.Errorf("oracle: Options names %q, which is no table of the schemas %q", name, schemas)
	}
	return tables, nil
}
