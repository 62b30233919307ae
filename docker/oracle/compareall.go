package oracle

import (
	"context"
	"fmt"
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
	// Tables overrides, by "schema.name", what is compared for a table: Columns, Drop, Expr, Exact, AsString, Key,
	// CHName.
	Tables map[string]Table
	// Skip lists tables ("schema.name") that are not captured.
	Skip []string
	// MaxSamples bounds each Diff's samples; 0 is 20.
	MaxSamples int
}

// Report is what CompareAll found: one Diff per table, by name.
type Report struct {
	Diffs []Diff
}

// Equal reports whether there was a table and every one is equal.
func (r Report) Equal() bool {
	for _, d := range r.Diffs {
		if !d.Equal() {
			return false
		}
	}
	return len(r.Diffs) > 0
}

// Rows counts the rows read from Postgres.
func (r Report) Rows() int {
	rows := 0
	for _, d := range r.Diffs {
		rows += d.RowsPostgres
	}
	return rows
}

// String lists the tables.
func (r Report) String() string {
	lines := make([]string, len(r.Diffs))
	for i, d := range r.Diffs {
		lines[i] = d.String()
	}
	if len(lines) == 0 {
		return "no table was compared"
	}
	return strings.Join(lines, "\n")
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
		if t.MaxSamples == 0 {
			t.MaxSamples = o.MaxSamples
		}
		diff, err := compareTable(ctx, pg, ch, t)
		if err != nil {
			return err
		}
		r.Diffs = append(r.Diffs, diff)
	}
	return nil
}

// discover lists the tables, overrides applied. An override or a skip that names no table is an error: a misspelt one
// would weaken the judgement silently.
func discover(ctx context.Context, pg *pgx.Conn, o Options) ([]Table, error) {
	schemas := o.Schemas
	if len(schemas) == 0 {
		schemas = []string{"public"}
	}
	rows, err := pg.Query(ctx, `SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' ORDER BY 1, 2`, schemas)
	if err != nil {
		return nil, fmt.Errorf("oracle: list tables: %w", err)
	}
	type tableName struct{ Schema, Name string }
	names, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tableName])
	if err != nil {
		return nil, fmt.Errorf("oracle: list tables: %w", err)
	}
	unused := map[string]bool{}
	for name := range o.Tables {
		unused[name] = true
	}
	skip := map[string]bool{}
	for _, name := range o.Skip {
		skip[name], unused[name] = true, true
	}
	var tables []Table
	for _, n := range names {
		full := n.Schema + "." + n.Name
		delete(unused, full)
		if skip[full] {
			continue
		}
		t := o.Tables[full]
		t.Schema, t.Name = n.Schema, n.Name
		tables = append(tables, t)
	}
	for name := range unused {
		return nil, fmt.Errorf("oracle: Options names %q, which is no table of the schemas %q", name, schemas)
	}
	return tables, nil
}
