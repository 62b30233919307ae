package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres/pgcopy"
	"dirtbike/schemas"
)

// snapshot implements cdc.Snapshot: each Copy opens a connection of its own and imports the exported snapshot.
type snapshot struct {
	login    Login
	name     string // under which Postgres exported it
	point    cdc.LSN
	exporter *pgconn.PgConn // the snapshot lives while it does nothing else
}

var _ cdc.Snapshot = (*snapshot)(nil)

// Point implements cdc.Snapshot.
func (s *snapshot) Point() cdc.LSN { return s.point }

// Close implements cdc.Snapshot.
func (s *snapshot) Close(ctx context.Context) error { return s.exporter.Close(ctx) }

// Copy implements cdc.Snapshot. It allocates nothing per row.
func (s *snapshot) Copy(ctx context.Context, t *cdc.Table, row func(cdc.Tuple) error) error {
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // read only: nothing is lost with it
	if err := s.shows(ctx, conn, t); err != nil {
		return err
	}
	w := newRowWriter(t, row)
	w.each = w.fields
	if _, err = conn.CopyTo(ctx, w, t.CopySQL); err != nil {
		if w.failed != nil {
			return w.failed
		}
		return s.copyError(ctx, t, err)
	}
	return w.decoder.Close()
}

func (s *snapshot) open(ctx context.Context) (*pgconn.PgConn, error) {
	conn, err := s.login.ConnectPlain(ctx)
	if err != nil {
		return nil, err
	}
	// row_security off makes a policy that would hide rows an error instead of a gap
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '" + strings.ReplaceAll(s.name, "'", "''") + "'; SET LOCAL row_security = off"
	if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
		_ = conn.Close(ctx) // the error that matters is the other one
		return nil, fmt.Errorf("import snapshot: %w", err)
	}
	return conn, nil
}

// shows refuses to copy what is not the table that t describes, and keeps it from being altered until the transaction
// ends. The copy names its columns, and a table was perhaps described hours ago: since then a withheld column may have
// got the name of another one, or another table this one's. And to a snapshot a table that was rewritten after it is
// empty: by ALTER TABLE, also where the columns are as before, because a stored generated one was added, or one came
// and went. VACUUM FULL and CLUSTER, which keep what a snapshot sees, and TRUNCATE, which is in the log, cannot be told
// apart from that.
func (s *snapshot) shows(ctx context.Context, conn *pgconn.PgConn, t *cdc.Table) error {
	columns := copiedColumns(t)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(c.Name)
	}
	from := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	// it is parsed, which locks the table, and never planned, which would run functions of the table's owner
	statement, err := conn.Prepare(ctx, "", "SELECT "+strings.Join(names, ", ")+" FROM ONLY "+from, nil)
	if err != nil {
		return s.copyError(ctx, t, err)
	}
	for i, f := range statement.Fields {
		if f.TableOID != t.OID || f.TableAttributeNumber != uint16(columns[i].Number) { //nolint:gosec // numbers of columns are positive
			return &cdc.TableTrouble{Err: cdc.Failed("the table or its columns were renamed after they were described: column %s is another one", columns[i].Name)}
		}
	}
	same, err := conn.Exec(ctx, fmt.Sprintf("SELECT FROM pg_class WHERE oid = %d AND relfilenode = pg_catalog.pg_relation_filenode(oid)", t.OID)).ReadAll()
	switch {
	case err != nil:
		return s.copyError(ctx, t, err)
	case len(same) != 1 || len(same[0].Rows) != 1:
		return &cdc.TableTrouble{Err: cdc.Failed("the table was rewritten or truncated each time after the snapshot of its copy was taken").Of(cdc.ErrStaleSnapshot)}
	}
	return nil
}

// copiedColumns are those that the copy reads, in its order.
func copiedColumns(t *cdc.Table) []cdc.Column {
	if t.CopyInto == nil {
		return t.Columns
	}
	out := make([]cdc.Column, len(t.CopyInto))
	for i, at := range t.CopyInto {
		out[i] = t.Columns[at]
	}
	return out
}

func (s *snapshot) copyError(ctx context.Context, t *cdc.Table, err error) error {
	if large := TooLarge(err); large != nil {
		return &cdc.TableTrouble{Lasting: true, Err: large}
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return fmt.Errorf("COPY: %w", err)
	}
	said := Said(pgErr)
	switch {
	case Passing(pgErr):
		return errors.New("COPY: " + said)
	case pgErr.Code == codeNoRight:
		return &cdc.TableTrouble{Err: s.login.MayRead(ctx, cdc.Refused("COPY: %s", said), t)}
	case BadValue(pgErr.Code):
		return &cdc.TableTrouble{Lasting: true, Err: cdc.Failed("COPY: %s: a row holds what cannot be read", said).
			Fix("find the row and correct it: %s", findRows(t)).Fix("add %s to source.tables", strconv.Quote("!"+t.FullName()))}
	}
	return &cdc.TableTrouble{Err: cdc.Failed("COPY: %s", said).Fix("COPY the table with psql, and look at what Postgres says")}
}

// findRows prints, as notices, where the rows are whose values Postgres cannot give as text, or not as UTF-8. An error
// of COPY itself does not say it.
func findRows(t *cdc.Table) string {
	table := schemas.SQLIdentifier(t.Schema) + "." + schemas.SQLIdentifier(t.Name)
	return "DO $$ DECLARE place tid; BEGIN FOR place IN SELECT ctid FROM ONLY " + table + " LOOP BEGIN PERFORM pg_catalog.convert_to(t::text, 'UTF8') FROM ONLY " +
		table + " t WHERE ctid = place; EXCEPTION WHEN data_exception THEN RAISE NOTICE 'ctid %', place; END; END LOOP; END $$"
}

// rowWriter is where CopyTo writes: chunks in, tuples out.
type rowWriter struct {
	decoder pgcopy.Reader
	kinds   []cdc.DatumKind
	into    []int
	tuple   cdc.Tuple
	row     func(cdc.Tuple) error
	each    func([][]byte) error // the method value, made once: making it per chunk would allocate
	failed  error
}

func newRowWriter(t *cdc.Table, row func(cdc.Tuple) error) *rowWriter {
	w := &rowWriter{kinds: t.CopyKinds, into: t.CopyInto, tuple: make(cdc.Tuple, len(t.Columns)), row: row}
	if w.into == nil {
		w.tuple = make(cdc.Tuple, len(t.CopyKinds))
		for i := range w.tuple {
			w.into = append(w.into, i)
		}
	}
	for i := range w.tuple {
		w.tuple[i] = cdc.Datum{Kind: cdc.DatumNull}
	}
	return w
}

// Write implements io.Writer.
func (w *rowWriter) Write(chunk []byte) (int, error) {
	if err := w.decoder.Feed(chunk, w.each); err != nil {
		w.failed = err
		return 0, err
	}
	return len(chunk), nil
}

func (w *rowWriter) fields(fields [][]byte) error {
	if len(fields) != len(w.kinds) {
		return &cdc.TableTrouble{Err: cdc.Failed("COPY gave %d columns, expected %d: the table was altered meanwhile", len(fields), len(w.kinds))}
	}
	for i, f := range fields {
		if f == nil {
			w.tuple[w.into[i]] = cdc.Datum{Kind: cdc.DatumNull}
			continue
		}
		w.tuple[w.into[i]] = cdc.Datum{Kind: w.kinds[i], Data: f}
	}
	return w.row(w.tuple)
}
