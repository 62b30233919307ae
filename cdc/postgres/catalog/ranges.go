package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/schemas"
)

// rangeReader implements cdc.RangeReader over one connection, which is opened when it is needed and again after an
// error.
//
// The transaction is READ COMMITTED, and begins with a statement that only locks the table: every later one has a
// snapshot of its own, taken under the lock. A single snapshot from before the lock would show a table as empty that
// was rewritten or truncated in between, since Postgres' snapshots do not cover these.
type rangeReader struct {
	login postgres.Login
	conn  *pgconn.PgConn
	table *cdc.Table
	rel   *schemas.Relation
	// begin locks the table and gives a snapshot; first and next read rows.
	begin, first, next string
	oids               []uint32 // of next's parameters: the key's, and the limit's
	results            []int16  // the format in which each column comes
	tuple              cdc.Tuple
	fields             []int // of the key's columns, by index into the columns that are read
}

var _ cdc.RangeReader = (*rangeReader)(nil)

// rangeLock is how long a range waits for a lock, in milliseconds; rangeAnswer how long it may take.
const rangeLock, rangeAnswer = "2000", "60000"

// Ranges implements cdc.Tables.
func (t *Tables) Ranges(table *cdc.Table) (cdc.RangeReader, error) {
	k, err := t.find(table.OID)
	if err != nil {
		return nil, err
	}
	login := t.options.Login.ReadOnly().With("lock_timeout", rangeLock).With("statement_timeout", rangeAnswer)
	return newRangeReader(login, k.rel, table), nil
}

func newRangeReader(login postgres.Login, rel *schemas.Relation, table *cdc.Table) *rangeReader {
	r := &rangeReader{login: login, table: table, rel: rel, tuple: make(cdc.Tuple, len(rel.Columns)), results: make([]int16, len(table.CopyInto))}
	columns := make([]string, len(table.CopyInto))
	for i, at := range table.CopyInto {
		columns[i] = pgx.Identifier{rel.Columns[at].Name}.Sanitize()
		if table.CopyKinds[i] == cdc.DatumBinary {
			r.results[i] = pgx.BinaryFormatCode
		}
	}
	for i := range r.tuple {
		r.tuple[i].Kind = cdc.DatumNull
	}
	key, places := make([]string, len(rel.Key)), make([]string, len(rel.Key))
	for i, at := range rel.Key {
		key[i], places[i] = pgx.Identifier{rel.Columns[at].Name}.Sanitize(), "$"+strconv.Itoa(i+1)
		r.oids, r.fields = append(r.oids, rel.Columns[at].Type.Base), append(r.fields, slices.Index(table.CopyInto, at))
	}
	from := " FROM ONLY " + pgx.Identifier{rel.Schema, rel.Name}.Sanitize()
	order, rows := " ORDER BY "+strings.Join(key, ", "), "SELECT "+strings.Join(columns, ", ")+from
	// row_security off makes a policy that would hide rows an error instead of a gap
	r.begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL row_security = off; SELECT" + from + " LIMIT 0; SELECT pg_catalog.pg_current_snapshot()"
	r.first = rows + order + " LIMIT $1"
	r.next = rows + " WHERE (" + strings.Join(key, ", ") + ") > (" + strings.Join(places, ", ") + ")" + order + " LIMIT $" + strconv.Itoa(len(key)+1)
	return r
}

// Read implements cdc.RangeReader.
func (r *rangeReader) Read(ctx context.Context, after cdc.Key, limit int, sees func(cdc.Visibility) bool, row func(cdc.Tuple) error) (cdc.Range, error) {
	out, err := r.read(ctx, after, limit, sees, row)
	if err != nil && !errors.Is(err, cdc.ErrNotVisible) {
		r.Close(context.WithoutCancel(ctx)) // read only: nothing is lost with it
	}
	return out, err
}

// WaitsFor implements cdc.RangeReader, on a connection of its own.
func (r *rangeReader) WaitsFor(ctx context.Context, transactions []uint64) (*cdc.Problem, error) {
	conn, err := r.login.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is open on it
	return postgres.WaitsForEnd(ctx, conn, "the copy of "+r.rel.FullName(), transactions)
}

func (r *rangeReader) read(ctx context.Context, after cdc.Key, limit int, sees func(cdc.Visibility) bool, row func(cdc.Tuple) error) (out cdc.Range, err error) {
	if r.conn == nil || r.conn.IsClosed() {
		if r.conn, err = r.login.ConnectPlain(ctx); err != nil {
			return out, err
		}
	}
	begun, err := r.conn.Exec(ctx, r.begin).ReadAll()
	if err != nil {
		return out, r.failed(ctx, err)
	}
	seen, err := cdc.ParseVisibility(string(begun[len(begun)-1].Rows[0][0]))
	if err != nil {
		return out, err
	}
	if !sees(seen) {
		_, err := r.conn.Exec(ctx, "ROLLBACK").ReadAll()
		return out, cmp.Or(err, cdc.ErrNotVisible)
	}
	if out, err = r.rows(ctx, after, limit, row); err != nil {
		return out, err
	}
	return out, r.end(ctx, &out)
}

// end asks how far the log reaches, and ends the transaction.
func (r *rangeReader) end(ctx context.Context, out *cdc.Range) error {
	ended, err := r.conn.Exec(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn(); COMMIT").ReadAll()
	if err != nil {
		return r.failed(ctx, err)
	}
	out.Log, err = cdc.ParseLSN(string(ended[0].Rows[0][0]))
	return err
}

// rows reads the rows of the range.
func (r *rangeReader) rows(ctx context.Context, after cdc.Key, limit int, row func(cdc.Tuple) error) (out cdc.Range, err error) {
	sql, values, oids, formats := r.first, [][]byte(nil), []uint32(nil), []int16(nil)
	if after != nil {
		sql, oids = r.next, slices.Clone(r.oids)
		for _, d := range after {
			values, formats = append(values, d.Data), append(formats, formatOf(d.Kind))
		}
	}
	values, oids, formats = append(values, []byte(strconv.Itoa(limit))), append(oids, 20), append(formats, pgx.TextFormatCode)
	result := r.conn.ExecParams(ctx, sql, values, oids, formats, r.results)
	if err := r.unchanged(result.FieldDescriptions()); err != nil {
		return out, err
	}
	for result.NextRow() {
		fields := result.Values()
		for i, f := range fields {
			d := &r.tuple[r.table.CopyInto[i]]
			if d.Kind, d.Data = r.table.CopyKinds[i], f; f == nil {
				d.Kind = cdc.DatumNull
			}
		}
		if err := row(r.tuple); err != nil {
			return out, err
		}
		if out.Rows++; out.Rows == limit {
			out.Last = r.keyOf(fields)
		}
	}
	if _, err := result.Close(); err != nil {
		return out, r.failed(ctx, err)
	}
	out.End = out.Rows < limit
	return out, nil
}

func formatOf(k cdc.DatumKind) int16 {
	if k == cdc.DatumBinary {
		return pgx.BinaryFormatCode
	}
	return pgx.TextFormatCode
}

// keyOf copies the key of a row.
func (r *rangeReader) keyOf(fields [][]byte) (key cdc.Key) {
	for _, at := range r.fields {
		key = append(key, cdc.Datum{Kind: r.table.CopyKinds[at], Data: slices.Clone(fields[at])})
	}
	return key
}

// unchanged compares the columns of the answer with the description: a column's number stays while it lives, and no
// other ever gets it, so that swapped names show, too. No fields are an error of the statement, which is told later.
func (r *rangeReader) unchanged(fields []pgconn.FieldDescription) error {
	for i := range fields {
		c, f := &r.rel.Columns[r.table.CopyInto[i]], &fields[i]
		same := f.TableOID == r.rel.OID && f.TableAttributeNumber == uint16(c.Attnum) //nolint:gosec // it is positive
		if !same || f.DataTypeOID != c.Type.Base || f.TypeModifier != c.Type.Mod {
			return fmt.Errorf("column %s of %s: %w", c.Name, r.rel.FullName(), cdc.ErrTableChanged)
		}
	}
	return nil
}

// failed says whose the error is.
func (r *rangeReader) failed(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Where == "" { // else a function of the table's owner raised it
		switch pg.Code {
		case "55P03", "57014": // lock_not_available, query_canceled
			return fmt.Errorf("%s: %w", r.rel.FullName(), cdc.ErrTableLocked)
		case "42703", "42P01", "3F000": // undefined_column, undefined_table, invalid_schema_name
			return fmt.Errorf("%s: %w", r.rel.FullName(), cdc.ErrTableChanged)
		}
	}
	return r.login.ReadError(ctx, "read a range", r.table, err)
}

// Close implements cdc.RangeReader.
func (r *rangeReader) Close(ctx context.Context) {
	if r.conn != nil {
		_ = r.conn.Close(ctx) // read only: nothing is lost with it
		r.conn = nil
	}
}
