package oracle

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// byteaBytes decodes Postgres' hex text of a bytea into a string of its bytes.
func byteaBytes(s string) (string, error) {
	digits, ok := strings.CutPrefix(s, `\x`)
	if !ok {
		return "", errors.New("oracle: bytea text is not hex; bytea_output is not set")
	}
	raw, err := hex.DecodeString(digits)
	return string(raw), err
}

// snapshotSQL opens one snapshot in which every type prints in the one form that the canonical texts build on.
// row_security off makes a policy that hides rows an error.
const snapshotSQL = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
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

// pgColumn is a column that the view is to show.
type pgColumn struct {
	name     string
	expr     string // SQL that gives the expected value
	exact    string // SQL that gives the text in `_inexact`; empty: what the type says
	policy   bool   // expr comes from Table.Expr
	asString bool   // held as String by choice
	typ      pgType // of expr
}

// pgTable is what the catalog says about a table, after Table's choices.
type pgTable struct {
	columns []pgColumn
	key     []int  // indices into columns
	from    string // FROM item: ONLY for a plain table, so that inheritance children stay out
}

// describe finds the columns, their types and the key.
func describe(ctx context.Context, pg *pgx.Conn, t Table) (pgTable, error) {
	var out pgTable
	name := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	var relkind string
	if err := pg.QueryRow(ctx, `SELECT relkind::text FROM pg_class WHERE oid = $1::text::regclass`, name).Scan(&relkind); err != nil {
		return out, fmt.Errorf("find table: %w", err)
	}
	out.from = "ONLY " + name
	if relkind == "p" {
		out.from = name
	}
	names, err := columnNames(ctx, pg, t, name)
	if err != nil {
		return out, err
	}
	for _, column := range names {
		expr, policy := t.Expr[column]
		if !policy {
			expr = pgx.Identifier{column}.Sanitize()
		}
		out.columns = append(out.columns, pgColumn{name: column, expr: expr, exact: t.Exact[column], policy: policy, asString: slices.Contains(t.AsString, column)})
	}
	if err := out.resolve(ctx, pg); err != nil {
		return out, err
	}
	out.key, err = keyOf(ctx, pg, t, name, names)
	return out, err
}

// columnNames lists Table.Columns, or all that exist and are not generated (rule 20), less Table.Drop.
func columnNames(ctx context.Context, pg *pgx.Conn, t Table, name string) ([]string, error) {
	names := slices.Clone(t.Columns)
	if len(names) == 0 {
		rows, err := pg.Query(ctx, `SELECT attname::text FROM pg_attribute
			WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, name)
		if err != nil {
			return nil, fmt.Errorf("list columns: %w", err)
		}
		if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return nil, fmt.Errorf("list columns: %w", err)
		}
	}
	names = slices.DeleteFunc(names, func(c string) bool { return slices.Contains(t.Drop, c) })
	if len(names) == 0 {
		return nil, errors.New("no column is left to compare")
	}
	return names, nil
}

// resolve asks Postgres for the type of every expression. RowDescription names a domain's base type already.
func (p *pgTable) resolve(ctx context.Context, pg *pgx.Conn) error {
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
	exprs = append(exprs, exact...)
	return "SELECT " + strings.Join(exprs, ", ") + " FROM " + p.from
}

// keyOf gives the indices of the table key (rule 9): Table.Key, or the identity index's columns, or the primary key.
func keyOf(ctx context.Context, pg *pgx.Conn, t Table, name string, columns []string) ([]int, error) {
	key := t.Key
	if len(key) == 0 {
		var err error
		if key, err = catalogKey(ctx, pg, name); err != nil {
			return nil, err
		}
	}
	if len(key) == 0 {
		return nil, errors.New("the table has no key. Try: Table.Key")
	}
	indices := make([]int, len(key))
	for i, column := range key {
		if indices[i] = slices.Index(columns, column); indices[i] < 0 {
			return nil, fmt.Errorf("key column %q is not among the compared ones", column)
		}
	}
	return indices, nil
}

// catalogKey lists the key columns that the catalog knows, in the index's order.
func catalogKey(ctx context.Context, pg *pgx.Conn, name string) ([]string, error) {
	rows, err := pg.Query(ctx, `SELECT a.attname::text
		FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
		CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
		WHERE c.oid = $1::text::regclass AND k.n <= i.indnkeyatts ORDER BY k.n`, name)
	if err != nil {
		return nil, fmt.Errorf("find key: %w", err)
	}
	key, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find key: %w", err)
	}
	return key, nil
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
