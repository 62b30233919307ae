package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

// export opens a snapshot as a slot does, but by pg_export_snapshot.
func export(t *testing.T, url, as string) *snapshot {
	t.Helper()
	conn := embeddedtest.Connect(t, url)
	var name string
	_, err := conn.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ")
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_export_snapshot()").Scan(&name))
	return &snapshot{login: Login{URL: as}, name: name, point: 42, exporter: conn.PgConn()}
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func copying(t *testing.T, conn *pgx.Conn, name string) *cdc.Table {
	t.Helper()
	oid, v := oidOf(t, conn, name), int16(0)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT coalesce(max(attnum), 0) FROM pg_attribute WHERE attrelid = $1 AND attname = 'v'", oid).Scan(&v))
	return &cdc.Table{
		OID: oid, Schema: "public", Name: name, Columns: []cdc.Column{{Number: 1, Name: "id"}, {Number: v, Name: "v"}}, CopyKinds: []cdc.DatumKind{cdc.DatumBinary, cdc.DatumText},
		CopySQL: "COPY (SELECT id, v::text FROM ONLY public." + name + ") TO STDOUT (FORMAT binary)",
	}
}

func TestSnapshot(t *testing.T) {
	for _, version := range []string{"14", "18"} {
		t.Run(version, func(t *testing.T) {
			url := embeddedtest.Postgres(t, version, nil).URL()
			conn := embeddedtest.Connect(t, url)
			for _, name := range []string{"a", "b", "c"} {
				exec(t, conn, "CREATE TABLE "+name+" (id bigint PRIMARY KEY, v text)")
				exec(t, conn, "INSERT INTO "+name+" SELECT i, CASE WHEN i % 7 > 0 THEN repeat('"+name+"', (i % 50)::int) END FROM generate_series(1, 20000) i")
			}
			t.Run("parallel copies equal the tables", func(t *testing.T) { parallel(t, url, conn) })
			t.Run("errors", func(t *testing.T) { failures(t, url, conn) })
			t.Run("tables that changed after the snapshot", func(t *testing.T) { staleSnapshot(t, url, conn) })
			t.Run("rights", func(t *testing.T) { rights(t, url, conn) })
		})
	}
}

func parallel(t *testing.T, url string, conn *pgx.Conn) {
	s := export(t, url, url)
	require.EqualValues(t, 42, s.Point())
	exec(t, conn, "DELETE FROM a; UPDATE b SET v = 'changed'; INSERT INTO c VALUES (0, 'new')")
	var group errgroup.Group
	var mu sync.Mutex
	seen, tables := map[string]int{}, map[string]*cdc.Table{}
	for _, name := range []string{"a", "b", "c"} {
		tables[name] = copying(t, conn, name)
	}
	for _, name := range []string{"a", "b", "c"} {
		group.Go(func() error {
			rows := 0
			err := s.Copy(t.Context(), tables[name], func(row cdc.Tuple) error {
				rows++
				id := int(binary.BigEndian.Uint64(row[0].Data))
				want, kind := strings.Repeat(name, id%50), cdc.DatumText
				if id%7 == 0 {
					want, kind = "", cdc.DatumNull
				}
				if row[0].Kind != cdc.DatumBinary || row[1].Kind != kind || string(row[1].Data) != want {
					return fmt.Errorf("row %d of %s differs", id, name)
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			seen[name] = rows
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, map[string]int{"a": 20000, "b": 20000, "c": 20000}, seen)
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.Eventually(t, func() bool { // the server ends the session when it reads that it is closed
		return s.Copy(t.Context(), copying(t, conn, "b"), func(cdc.Tuple) error { return nil }) != nil
	}, 10*time.Second, 20*time.Millisecond, "there is no such snapshot")
}

func failures(t *testing.T, url string, conn *pgx.Conn) {
	s := export(t, url, url)
	defer func() { require.NoError(t, s.Close(t.Context())) }()
	stop := errors.New("enough")
	rows := 0
	err := s.Copy(t.Context(), copying(t, conn, "b"), func(cdc.Tuple) error {
		if rows++; rows == 5 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, 5, rows)

	ctx, cancel := context.WithCancel(t.Context())
	err = s.Copy(ctx, copying(t, conn, "b"), func(cdc.Tuple) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)

	wrong := copying(t, conn, "b")
	wrong.CopyKinds = wrong.CopyKinds[:1]
	require.Error(t, s.Copy(t.Context(), wrong, nil), "it has another number of columns")
	require.Contains(t, cdc.Explain(s.Copy(t.Context(), copying(t, conn, "missing"), nil)).What, "42P01")

	exec(t, conn, "CREATE OR REPLACE FUNCTION shown(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'because'; END $$")
	raises := copying(t, conn, "b")
	raises.CopySQL = strings.Replace(raises.CopySQL, "v::text", "public.shown(v)", 1)
	err = s.Copy(t.Context(), raises, nil)
	require.Equal(t, []cdc.Remedy{{Command: "COPY the table with psql, and look at what Postgres says"}}, cdc.Explain(err).Try)
	require.NotContains(t, err.Error(), "because", "it may quote a value")
	_, err = conn.PgConn().CopyTo(t.Context(), io.Discard, raises.CopySQL)
	var said *pgconn.PgError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "because", said.Message)
	exec(t, conn, "CREATE OR REPLACE FUNCTION shown(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
	require.NoError(t, s.Copy(t.Context(), raises, func(cdc.Tuple) error { return nil }))
	require.Eventually(t, func() bool { // no connection is left
		var n int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'").Scan(&n)
		return err == nil && n == 0
	}, 10*time.Second, 20*time.Millisecond)

	unreachable := &snapshot{login: Login{URL: "postgres://u:hunter2@127.0.0.1:1/x"}, name: "x"}
	err = unreachable.Copy(t.Context(), copying(t, conn, "b"), nil)
	require.Contains(t, cdc.Explain(err).What, "127.0.0.1:1")
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, err.Error(), "\n")
}

func oidOf(t *testing.T, conn *pgx.Conn, name string) (oid uint32) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT coalesce(to_regclass($1)::oid, 0)", name).Scan(&oid))
	return oid
}

// staleSnapshot: to a snapshot, a table that was rewritten after it is empty; and what has a column's name need not be
// that column any more. Neither is copied.
func staleSnapshot(t *testing.T, url string, conn *pgx.Conn) {
	exec(t, conn, "CREATE TABLE s (id bigint PRIMARY KEY, v text, hidden text); INSERT INTO s VALUES (1, 'shown', 'canary')")
	copyOf := func(change string) (rows []string, err error) {
		described, s := copying(t, conn, "s"), export(t, url, url)
		defer func() { require.NoError(t, s.Close(t.Context())) }()
		if change != "" {
			exec(t, conn, change)
		}
		err = s.Copy(t.Context(), described, func(row cdc.Tuple) error {
			rows = append(rows, string(row[1].Data))
			return nil
		})
		return rows, err
	}
	for _, harmless := range []string{"", "UPDATE s SET v = 'later'", "ALTER TABLE s ADD c int DEFAULT 5", "ALTER TABLE s DROP c", "ALTER TABLE s RENAME hidden TO veiled", "VACUUM s"} {
		rows, err := copyOf(harmless)
		require.NoError(t, err, harmless)
		require.Len(t, rows, 1, harmless)
	}
	for _, rewritten := range []string{
		"ALTER TABLE s ADD g int GENERATED ALWAYS AS (1) STORED", "ALTER TABLE s ADD c float8 DEFAULT random(); ALTER TABLE s DROP c",
		"ALTER TABLE s ALTER v TYPE text USING upper(v)", "TRUNCATE s",
	} {
		rows, err := copyOf(rewritten)
		require.ErrorIs(t, err, cdc.ErrStaleSnapshot, rewritten)
		require.NotNil(t, cdc.OfOneTable(err))
		require.Empty(t, rows)
	}
	exec(t, conn, "INSERT INTO s VALUES (1, 'shown', 'canary')")
	for _, renamed := range []string{
		"ALTER TABLE s RENAME v TO was; ALTER TABLE s RENAME veiled TO v", "ALTER TABLE s DROP was; ALTER TABLE s RENAME v TO veiled; ALTER TABLE s ADD v text DEFAULT 'another'",
		"ALTER TABLE s RENAME TO former; CREATE TABLE s (id bigint PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'canary')",
	} {
		rows, err := copyOf(renamed)
		require.NotNil(t, cdc.OfOneTable(err), renamed)
		require.NotErrorIs(t, err, cdc.ErrStaleSnapshot, renamed)
		require.Empty(t, rows, renamed)
	}
}

// rights: a policy that would hide rows is an error, not a gap.
func rights(t *testing.T, url string, conn *pgx.Conn) {
	exec(t, conn, "CREATE SCHEMA shut; CREATE TABLE shut.b AS SELECT * FROM b")
	exec(t, conn, "CREATE ROLE reader LOGIN PASSWORD 'pw'; GRANT SELECT ON b TO reader; ALTER TABLE b ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON b USING (id < 10)")
	config := conn.Config()
	as := fmt.Sprintf("postgres://reader:pw@%s:%d/%s?sslmode=disable", config.Host, config.Port, config.Database)
	s := export(t, url, as)
	defer func() { require.NoError(t, s.Close(t.Context())) }()
	shut := copying(t, conn, "b")
	shut.Schema, shut.OID = "shut", oidOf(t, conn, "shut.b")
	shut.CopySQL = strings.Replace(shut.CopySQL, "public.b", "shut.b", 1)
	for _, test := range []struct {
		table *cdc.Table
		way   cdc.Remedy // the whole of it, and nothing else
	}{
		{copying(t, conn, "a"), cdc.Remedy{By: "the owner of public.a", Command: "GRANT SELECT ON TABLE public.a TO reader"}},
		{copying(t, conn, "b"), cdc.Remedy{By: "a superuser", Command: "ALTER ROLE reader BYPASSRLS"}},
		{shut, cdc.Remedy{By: "a superuser", Command: "GRANT USAGE ON SCHEMA shut TO reader; GRANT SELECT ON TABLE shut.b TO reader"}},
	} {
		read := 0
		row := func(cdc.Tuple) error { read++; return nil }
		err := s.Copy(t.Context(), test.table, row)
		require.ErrorIs(t, err, cdc.ErrRefused)
		require.Zero(t, read)
		require.Equal(t, []cdc.Remedy{test.way}, cdc.Explain(err).Try)
		exec(t, conn, test.way.Command)
		require.NoError(t, s.Copy(t.Context(), test.table, row), "what is printed is enough")
	}
	var ids []uint64
	require.NoError(t, s.Copy(t.Context(), copying(t, conn, "b"), func(row cdc.Tuple) error {
		ids = append(ids, binary.BigEndian.Uint64(row[0].Data))
		return nil
	}))
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), 20000)
}
