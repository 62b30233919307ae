package clinic

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// testRows is the size of the clinic of the engine tests.
const testRows = 20_000

// newDatabase creates a database and returns its URL and a connection.
func newDatabase(t *testing.T, pg *embedded.Postgres, name string) (string, *pgx.Conn) {
	t.Helper()
	require.NoError(t, pg.CreateDatabase(t.Context(), name))
	return pg.DatabaseURL(name), embeddedtest.Connect(t, pg.DatabaseURL(name))
}

// one asks Postgres for one value.
func one[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return v
}

func TestClinicOnEngines(t *testing.T) {
	stack := embeddedtest.Start(t, embedded.Options{Parts: embedded.Parts{Postgres: true, ClickHouse: true}})
	url, conn := newDatabase(t, stack.Postgres, "clinic")
	t.Setenv("PGOPTIONS", "-c default_transaction_read_only=on -c search_path=nowhere") // is about other servers
	t.Run("fill", func(t *testing.T) { testFill(t, url, conn) })
	t.Run("refuses", func(t *testing.T) { testRefusals(t, stack.Postgres, url) })
	t.Run("answers are equal", func(t *testing.T) { testAnswers(t, conn, stack.ClickHouse, "before") })
	t.Run("workload", func(t *testing.T) { testWorkload(t, url, conn) })
	t.Run("retries", func(t *testing.T) { testRetry(t, url) })
	t.Run("answers are equal after changes", func(t *testing.T) { testAnswers(t, conn, stack.ClickHouse, "after") })
}

// testFill fills the clinic and checks it by queries.
func testFill(t *testing.T, url string, conn *pgx.Conn) {
	type report struct{ done, total int64 }
	reports := map[string][]report{}
	require.NoError(t, Fill(t.Context(), url, testRows, 1, func(table string, done, total int64) {
		reports[table] = append(reports[table], report{done, total})
	}))
	for _, table := range smallWorld(t, 1).tables() {
		rows := one[int64](t, conn, "SELECT count(*) FROM "+table.name)
		require.Equal(t, table.rows, rows, table.name)
		got := reports[table.name]
		require.Equal(t, report{0, rows}, got[0], table.name)
		require.Equal(t, report{rows, rows}, got[len(got)-1], table.name)
		for i := 1; i < len(got); i++ {
			require.GreaterOrEqual(t, got[i].done, got[i-1].done, table.name)
		}
		require.InDelta(t, rows, one[float32](t, conn, "SELECT reltuples FROM pg_class WHERE oid = $1::regclass", table.name), 1, "analyzed")
	}
	require.Equal(t, int64(8), one[int64](t, conn, "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND connamespace = 'public'::regnamespace"))
	require.Equal(t, int64(9), one[int64](t, conn, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"))
	require.Positive(t, one[int64](t, conn, "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'visits'::regclass"))
	require.Positive(t, one[int64](t, conn, "SELECT count(*) FROM patients WHERE coverage_end = 'infinity'"))
	require.Positive(t, one[int64](t, conn, "SELECT count(*) FROM visits WHERE vitals->>'bp' ~ '^[0-9]+/[0-9]+$'"))
	requireBooksBalance(t, conn)
}

// requireBooksBalance checks every claim's amounts against its lines and payments.
func requireBooksBalance(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	require.Zero(t, one[int64](t, conn, `
		SELECT count(*) FROM claims c
		LEFT JOIN (SELECT claim_id, sum(charge) charge, sum(allowed) allowed, sum(denied) denied FROM claim_lines GROUP BY 1) l USING (claim_id)
		LEFT JOIN (SELECT claim_id, sum(amount) amount FROM payments GROUP BY 1) p USING (claim_id)
		WHERE c.billed IS DISTINCT FROM l.charge
		   OR c.paid IS DISTINCT FROM l.allowed
		   OR c.denied IS DISTINCT FROM CASE c.status WHEN 'pending' THEN NULL ELSE l.denied END
		   OR p.amount IS DISTINCT FROM CASE c.status WHEN 'paid' THEN c.paid END
		   OR (c.status = 'denied') <> (c.denied_at IS NOT NULL)`))
}

// testRefusals checks the errors that people may see.
func testRefusals(t *testing.T, pg *embedded.Postgres, url string) {
	require.Equal(t, []cdc.Remedy{{Command: "an empty database"}}, cdc.Explain(Fill(t.Context(), url, testRows, 1, nil)).Try)
	require.Contains(t, cdc.Explain(Fill(t.Context(), url, 3, 1, nil)).Try[0].Command, "1000 to")
	empty, conn := newDatabase(t, pg, "empty")
	_, err := conn.Exec(t.Context(), "SET TRANSACTION READ WRITE; "+schemaSQL)
	require.NoError(t, err)
	require.Equal(t, []cdc.Remedy{{Command: "fill an empty database first"}}, cdc.Explain(new(Workload).Run(t.Context(), empty, Options{})).Try)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Fill(ended, url, testRows, 1, nil), context.Canceled)
	require.NoError(t, new(Workload).Run(ended, url, Options{}))
	blank, _ := newDatabase(t, pg, "blank")
	require.NoError(t, Fill(t.Context(), blank, 1000, 1, func(string, int64, int64) {}), "an empty database is filled")
	require.NoError(t, new(Workload).Run(ended, blank, Options{}), "and worked in")
}

// rowCount is the number of rows of all tables.
func rowCount(t *testing.T, conn *pgx.Conn) int64 {
	t.Helper()
	return one[int64](t, conn, `
		SELECT (SELECT count(*) FROM visits) + (SELECT count(*) FROM claims) + (SELECT count(*) FROM claim_lines)
		     + (SELECT count(*) FROM payments) + (SELECT count(*) FROM patients)`)
}

// testWorkload runs the workload for two seconds, twice with one seed, and checks its counters against the tables.
func testWorkload(t *testing.T, url string, conn *pgx.Conn) {
	const largeNotes = "SELECT md5(string_agg(notes, '' ORDER BY visit_id)) FROM visits WHERE octet_length(notes) > 4000 AND started_at < '2026-08-01'"
	rows, notes := rowCount(t, conn), one[string](t, conn, largeNotes)
	var w Workload
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		require.NoError(t, w.Run(ctx, url, Options{Clients: 3, RatePerSecond: 200, Seed: 9}))
		cancel()
	}
	require.Positive(t, w.inserted.Load())
	require.Positive(t, w.updated.Load())
	require.Positive(t, w.deleted.Load())
	require.Greater(t, w.transactions.Load(), int64(100))
	require.LessOrEqual(t, w.transactions.Load(), int64(2*2*200+10))
	require.Equal(t, w.inserted.Load()+w.updated.Load()+w.deleted.Load(), w.Changes())
	require.Less(t, w.Changes(), 31*w.transactions.Load())
	require.Equal(t, w.inserted.Load()-w.deleted.Load(), rowCount(t, conn)-rows)
	require.Equal(t, w.beats.Load(), one[int64](t, conn, "SELECT beat FROM heartbeats WHERE id = 1"))
	for number := range w.beats.Load() + 2 { // there is no beat 0, and none after the last
		_, known := w.CommittedAt(number)
		require.Equal(t, number > 0 && number <= w.beats.Load(), known, number)
	}
	require.Equal(t, notes, one[string](t, conn, largeNotes))
	requireBooksBalance(t, conn)
}

// testRetry lets an action fail with a deadlock twice before it succeeds: it is rolled back, counted and run again.
func testRetry(t *testing.T, url string) {
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer closeConn(t.Context(), conn)
	var w Workload
	counters := func() []int64 { return []int64{w.transactions.Load(), w.Changes(), w.updated.Load(), w.retries.Load()} }
	c := &client{work: &w, conn: conn}
	attempts := 0
	meets := func(code string, times int) action {
		attempts = 0
		return action{name: "meet another", do: func(_ *client, ctx context.Context, tx pgx.Tx) (changes, error) {
			if attempts++; attempts <= times {
				_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE SQLSTATE '"+code+"'; END $$")
				return changes{updated: 1}, err
			}
			return changes{updated: 1}, nil
		}}
	}
	require.NoError(t, c.commitOne(t.Context(), meets("40P01", 2)))
	require.Equal(t, []int64{1, 1, 1, 2}, counters())
	require.NoError(t, c.commitOne(t.Context(), meets("40001", 1)))
	require.Equal(t, []int64{2, 2, 2, 3}, counters())
	var said *pgconn.PgError
	require.ErrorAs(t, c.commitOne(t.Context(), meets("40001", maxRetries+1)), &said)
	require.ErrorAs(t, c.commitOne(t.Context(), meets("23505", 1)), &said)
	require.Equal(t, "23505", said.Code)
	require.Equal(t, 1, attempts)
	require.Equal(t, int64(2), w.transactions.Load())
}

// testAnswers copies the tables to ClickHouse and asks both the ETL question.
func testAnswers(t *testing.T, conn *pgx.Conn, server *embedded.ClickHouse, database string) {
	house := embeddedtest.ClickHouse(t, server.URL())
	require.NoError(t, house.Exec(t.Context(), "CREATE DATABASE "+database))
	for _, c := range etlTables {
		c.copy(t, conn, house, database)
	}
	want, err := RunPostgres(t.Context(), conn)
	require.NoError(t, err)
	got, err := RunClickHouse(t.Context(), house, database)
	require.NoError(t, err)
	require.Equal(t, want.Digest, got.Digest)
	require.Equal(t, want.Rows, got.Rows)
	require.Greater(t, want.Rows, 500)
	require.Positive(t, want.Elapsed)
	require.Positive(t, got.Elapsed)
	require.NoError(t, house.Exec(t.Context(), "INSERT INTO "+database+".payments VALUES (1, 0.01)"))
	got, err = RunClickHouse(t.Context(), house, database)
	require.NoError(t, err)
	require.NotEqual(t, want.Digest, got.Digest, "a cent more")
}

// copied is a table of the ETL question in ClickHouse.
type copied struct {
	name, ddl, columns string
	row                func() []any
}

// etlTables have the columns that the question reads, typed as the views are.
var etlTables = []copied{
	{"clinics", "clinic_id Int32, name String", "clinic_id, name",
		func() []any { return []any{new(int32), new(string)} }},
	{"claims", "claim_id Int64, clinic_id Int32, plan String, service_date Date32", "claim_id, clinic_id, plan, service_date",
		func() []any { return []any{new(int64), new(int32), new(string), new(time.Time)} }},
	{"claim_lines", "claim_id Int64, denied Decimal(12, 2)", "claim_id, denied::text",
		func() []any { return []any{new(int64), new(string)} }},
	{"payments", "claim_id Int64, amount Decimal(12, 2)", "claim_id, amount::text",
		func() []any { return []any{new(int64), new(string)} }},
}

// copy makes the table in ClickHouse and inserts all rows of Postgres.
func (c copied) copy(t *testing.T, conn *pgx.Conn, house driver.Conn, database string) {
	t.Helper()
	require.NoError(t, house.Exec(t.Context(), "CREATE TABLE "+database+"."+c.name+" ("+c.ddl+") ENGINE = MergeTree ORDER BY tuple()"))
	batch, err := house.PrepareBatch(t.Context(), "INSERT INTO "+database+"."+c.name)
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), "SELECT "+c.columns+" FROM "+c.name)
	require.NoError(t, err)
	for rows.Next() {
		row := c.row()
		require.NoError(t, rows.Scan(row...))
		require.NoError(t, batch.Append(row...))
	}
	require.NoError(t, rows.Err())
	require.NoError(t, batch.Send())
}
