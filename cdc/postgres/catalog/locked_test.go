package catalog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
)

// lock holds a table until the function it gives is called.
func (d *database) lock(t *testing.T, table string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	return func() { require.NoError(t, conn.Close(t.Context())) }
}

// TestLockedTable: a locked table does not hinder the check of the others, and a re-read gives up in time and blames
// the table.
func TestLockedTable(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, big text)", "CREATE TABLE other (id int PRIMARY KEY)", "INSERT INTO t VALUES (1, 'x')")
		tables := d.tables(Options{RereadPatience: 300 * time.Millisecond})
		list, err := tables.List(t.Context())
		require.NoError(t, err)
		defer tables.Close(t.Context())
		release := d.lock(t, "t")
		began := time.Now()
		d.exec(t, "ALTER TABLE other ADD COLUMN v int")
		require.Len(t, drift(t, tables), 1)
		require.Less(t, time.Since(began), 5*time.Second)
		_, _, err = tables.Reread(t.Context(), list[1].OID, 0, cdc.Tuple{{Kind: cdc.DatumText, Data: []byte("1")}, {}}, []int{1})
		require.NotNil(t, cdc.OfOneTable(err), "it is the table's fault")
		require.False(t, cdc.OfOneTable(err).Lasting, "it waits, and is copied")
		full, why, _ := strings.Cut(cdc.Explain(err).Try[0].Command, ", ")
		require.Equal(t, "so that nothing has to be re-read", why)
		release()
		d.exec(t, full)
		require.Equal(t, cdc.IdentityFull, d.relation(t, "t").Identity, "updates come with their whole rows")
	})
}

// TestLockedCatalog: pg_stat_activity shows what keeps the catalog from being read, and once that has ended it is read.
func TestLockedCatalog(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY)")
		tables := d.tables(Options{})
		_, err := tables.List(t.Context())
		require.NoError(t, err)
		defer tables.Close(t.Context())
		holder := embeddedtest.Connect(t, d.url)
		embeddedtest.ExecOn(t, holder, "BEGIN; LOCK TABLE pg_catalog.pg_publication_rel IN ACCESS EXCLUSIVE MODE")
		read := make(chan error, 1)
		go func() {
			_, err := tables.Drift(t.Context())
			read <- err
		}()
		var keeps uint32
		require.Eventually(t, func() bool {
			return d.conn.QueryRow(t.Context(), "SELECT (pg_blocking_pids(pid))[1] FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").Scan(&keeps) == nil
		}, 10*time.Second, 20*time.Millisecond)
		require.Equal(t, holder.PgConn().PID(), keeps)
		d.exec(t, fmt.Sprintf("SELECT pg_terminate_backend(%d)", keeps))
		require.NoError(t, <-read)
	})
}

// TestRereadTellsNoKey: the server quotes a key that it cannot read; we do not, since its column may be hashed.
func TestRereadTellsNoKey(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		d.fresh(t, "CREATE TYPE mood AS ENUM ('canary')", "CREATE TABLE t (m mood PRIMARY KEY, big text)")
		tables := d.tables(Options{})
		list, err := tables.List(t.Context())
		require.NoError(t, err)
		defer tables.Close(t.Context())
		d.exec(t, "ALTER TYPE mood RENAME VALUE 'canary' TO 'other'")
		_, _, err = tables.Reread(t.Context(), list[0].OID, 0, cdc.Tuple{{Kind: cdc.DatumText, Data: []byte("canary")}, {}}, []int{1})
		require.Contains(t, cdc.Explain(err).What, "22P02")
		require.NotContains(t, err.Error(), "canary")
		require.NotErrorIs(t, err, cdc.ErrUnreachable)
	})
}

// TestRereadNamesWaysThatWork: no replica identity under which Postgres would refuse the table's updates.
func TestRereadNamesWaysThatWork(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "t"}
	for _, code := range []string{"57014", "55P03", "42703", "22P02", "XX000"} {
		for noFull, want := range map[bool]int{false: 1, true: 0} {
			err := (&Tables{}).rereadError(t.Context(), &known{rel: rel, noFull: noFull}, &pgconn.PgError{Code: code})
			require.Len(t, cdc.Explain(err).Try, want, code)
			require.Len(t, cdc.Explain(err).ThenCopy("public.t").Try, 1, "a new copy is one, whatever the table is")
		}
	}
}

// TestPatienceOfRereads: many tables that are locked at once hold the others for no longer than two of them.
func TestPatienceOfRereads(t *testing.T) {
	tables := New(Options{})
	require.Equal(t, 3*time.Second, tables.patience())
	var all time.Duration
	for range 20 {
		all += tables.patience()
		tables.gaveUp, tables.gaveUpAt = tables.gaveUp+1, time.Now()
	}
	require.Less(t, all, 8*time.Second)
	tables.gaveUpAt = time.Now().Add(-2 * time.Minute)
	require.Equal(t, 3*time.Second, tables.patience())
}

// TestACommitThatNobodySees: a commit that waits for a standby makes its table wait, and ends no session.
func TestACommitThatNobodySees(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "t"}
	err := (&Tables{}).rereadError(t.Context(), &known{rel: rel}, errNotVisible)
	require.NotNil(t, cdc.OfOneTable(err))
	require.False(t, cdc.OfOneTable(err).Lasting)
	require.NotErrorIs(t, err, cdc.ErrUnreachable)
	require.Len(t, cdc.Explain(err).Try, 1)
}

// TestCompositeAttributes: an attribute that comes or goes changes rows without an event.
func TestCompositeAttributes(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		for _, column := range []string{"pair", "pair[]"} {
			for _, change := range []string{"ADD ATTRIBUTE z int", "DROP ATTRIBUTE b", "RENAME ATTRIBUTE a TO c"} {
				d.fresh(t, "CREATE TYPE pair AS (a int, b text)", "CREATE TABLE t (id int PRIMARY KEY, p "+column+")")
				tables := d.tables(Options{})
				_, err := tables.List(t.Context())
				require.NoError(t, err)
				require.Empty(t, drift(t, tables))
				d.exec(t, "ALTER TYPE pair "+change)
				require.Len(t, drift(t, tables), 1, column+" "+change)
			}
		}
	})
}
