package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// snapshotSQL opens one snapshot in which every type prints in the one form that the canonical texts build on.
// row_security off makes a policy that hides rows an error. Names of types and tables, in regclass and its like, have
// their schema, and no function of the database's own can take the place of one of Postgres'.
const snapshotSQL = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off; SET LOCAL lc_monetary = 'C';
SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres';
SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL statement_timeout = 0; SET LOCAL row_security = off`

// inSnapshot runs f inside one snapshot on the connection, which must not be in a transaction.
func inSnapshot(ctx context.Context, pg *pgx.Conn, f func() error) (err error) {
	if _, err := pg.Exec(ctx, snapshotSQL); err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	defer func() {
		_, end := pg.Exec(ctx, "ROLLBACK")
		err = cmp.Or(err, end)
	}()
	return f()
}

// collect runs a query and gives its rows; what it is for begins its error.
func collect[T any](ctx context.Context, pg *pgx.Conn, what string, to pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := pg.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	out, err := pgx.CollectRows(rows, to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

// pgColumn is a column that the view is to show.
type pgColumn struct {
	name   string
	expr   string // SQL that gives the expected value
	exact  string // SQL that gives the text in `_inexact`; empty: what the type says
	policy bool   // expr comes from Table.Expr
	typ    pgType // of expr
}

// pgTable is what the catalog says about a table, after Table's choices.
type pgTable struct {
	columns []pgColumn
	key     []int  // indices into columns
	from    string // FROM item: ONLY for a plain table, so that inheritance children stay out
}

// describe finds the columns that are not generated (rule 20), less Table.Drop, their types and the key.
func describe(ctx context.Context, pg *pgx.Conn, t Table) (out pgTable, err error) {
	name := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	if err := pg.QueryRow(ctx, `SELECT CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || $1::text FROM pg_class WHERE oid = $1::text::regclass`, name).Scan(&out.from); err != nil {
		return out, fmt.Errorf("find table: %w", err)
	}
	names, err := collect(ctx, pg, "list columns", pgx.RowTo[string], `SELECT attname::text FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> ALL(coalesce($2::text[], '{}')) ORDER BY attnum`, name, t.Drop)
	if err != nil {
		return out, err
	}
	for _, column := range names {
		expr, policy := t.Expr[column]
		if !policy {
			expr = pgx.Identifier{column}.Sanitize()
		}
		out.columns = append(out.columns, pgColumn{name: column, expr: expr, exact: t.Exact[column], policy: policy})
	}
	if err := out.resolve(ctx, pg); err != nil {
		return out, err
	}
	key, err := catalogKey(ctx, pg, name)
	for _, column := range key {
		out.key = append(out.key, slices.Index(names, column))
	}
	if err == nil && (len(key) == 0 || slices.Contains(out.key, -1)) {
		err = fmt.Errorf("the key %q is not among the columns %q", key, names)
	}
	return out, err
}

// resolve asks Postgres for the type of every expression. RowDescription names a domain's base type already.
func (p *pgTable) resolve(ctx context.Context, pg *pgx.Conn) error {
	if len(p.columns) == 0 {
		return errors.New("no column is left to compare")
	}
	prepared, err := pg.PgConn().Prepare(ctx, "", p.selectSQL(), nil)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for i, field := range prepared.Fields[:len(p.columns)] {
		if p.columns[i].typ, err = resolveType(ctx, pg, field.DataTypeOID, field.TypeModifier); err != nil {
			return fmt.Errorf("column %q: %w", p.columns[i].name, err)
		}
	}
	return nil
}

// selectSQL reads the expected values, then the exact texts of the columns that name an expression for it.
func (p *pgTable) selectSQL() string {
	var exprs, exact []string
	for _, c := range p.columns {
		exprs = append(exprs, c.expr)
		if c.exact != "" {
			exact = append(exact, c.exact)
		}
	}
	return "SELECT " + strings.Join(append(exprs, exact...), ", ") + " FROM " + p.from
}

// catalogKey lists the columns of the table's key (rule 9), those of the identity index or the primary key, in the
// index's order.
func catalogKey(ctx context.Context, pg *pgx.Conn, name string) ([]string, error) {
	return collect(ctx, pg, "find key", pgx.RowTo[string], `SELECT a.attname::text
		FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
		CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
		WHERE c.oid = $1::text::regclass AND k.n <= i.indnkeyatts ORDER BY k.n`, name)
}

// readRows calls f with the text of each row's values as the types' own output functions print them: a ::text cast
// would trim char(n) and add "/32" to an inet. A nil value is NULL; the slices are valid during the call only.
func (p *pgTable) readRows(ctx context.Context, pg *pgx.Conn, f func(values [][]byte) error) error {
	result := pg.PgConn().ExecParams(ctx, p.selectSQL(), nil, nil, nil, nil)
	var err error
	for err == nil && result.NextRow() {
		err = f(result.Values())
	}
	_, end := result.Close()
	if err = cmp.Or(err, end); err != nil {
		return fmt.Errorf("read Postgres: %w", err)
	}
	return nil
}
