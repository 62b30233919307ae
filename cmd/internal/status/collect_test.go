package status

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// collector starts Postgres, with that much max_slot_wal_keep_size, and ClickHouse for the length of the test.
func collector(t *testing.T, keep string) (*Collector, *embedded.Stack) {
	t.Helper()
	stack := embeddedtest.Start(t, embedded.Options{
		Parts: embedded.Parts{Postgres: true, ClickHouse: true}, PostgresSettings: map[string]string{"max_slot_wal_keep_size": keep},
	})
	pool, err := pgxpool.New(t.Context(), stack.Postgres.URL())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	ch := embeddedtest.ClickHouse(t, stack.ClickHouse.URL())
	return NewCollector(Sources{Postgres: pool, Slot: "dirtbike", ClickHouse: ch, Database: "clinic"}), stack
}

// clickHouseSide is what load would have made: one table shown, one whose first copy is under way, one quarantined.
var clickHouseSide = []string{
	"CREATE DATABASE clinic ENGINE = Atomic",
	"CREATE DATABASE clinic_raw ENGINE = Atomic",
	"CREATE TABLE clinic_raw.claims__g1 (id Int64) ENGINE = MergeTree ORDER BY id",
	"INSERT INTO clinic_raw.claims__g1 SELECT number FROM numbers(5)",
	"CREATE VIEW clinic.claims AS SELECT id, map('due', 'infinity') AS _inexact FROM clinic_raw.claims__g1 WHERE id > 0",
	"CREATE VIEW clinic.left AS SELECT id FROM clinic_raw.claims__g1 WHERE id > 3",
	"CREATE TABLE clinic_raw.billing_lines__g2 (id Int64) ENGINE = MergeTree ORDER BY id",
	"INSERT INTO clinic_raw.billing_lines__g2 SELECT number FROM numbers(3)",
	"CREATE TABLE clinic_raw.complete (table String, epoch UInt32, lsn UInt64, commit_time DateTime64(6,'UTC'), exact UInt8, dead_letters UInt64) ENGINE = MergeTree ORDER BY table",
	"CREATE VIEW clinic.complete_up_to AS SELECT * FROM clinic_raw.complete SETTINGS limit = 0, log_comment = 'dirtbike complete_up_to of a test'",
	claimsComplete,
	"CREATE TABLE clinic_raw.quarantine (table String, leg String, reason String, open UInt8, version UInt64, generation UInt32 DEFAULT 1) ENGINE = ReplacingMergeTree(version) ORDER BY (table, leg)",
	"INSERT INTO clinic_raw.quarantine (table, leg, reason, open, version) VALUES ('public.visits', 'load', 'column note: malformed value', 1, 1)",
	"INSERT INTO clinic_raw.quarantine (table, leg, reason, open, version) VALUES ('public.claims', 'load', 'was fixed', 1, 1)",
	"INSERT INTO clinic_raw.quarantine (table, leg, reason, open, version) VALUES ('public.claims', 'load', '', 0, 2)",
	"INSERT INTO clinic_raw.quarantine (table, leg, reason, open, version) VALUES ('public.left', 'capture', 'no longer named', 3, 2)",
}

const claimsComplete = `INSERT INTO clinic_raw.complete VALUES ('', 1, 100, now64(6), 0, 0), ('public.claims', 1, 100, now64(6), 1, 0),
	('billing.lines', 1, 100, now64(6), 0, 0), ('public.visits', 1, 100, now64(6), 0, 4)`

func TestCollector(t *testing.T) {
	c, stack := collector(t, "1GB")
	fresh := func() { c.at = time.Time{} }
	ctx := t.Context()

	s, err := c.Status(ctx)
	require.NoError(t, err, "nothing is there yet, which is no error")
	require.Equal(t, Status{Phase: "none", Tables: []TableStatus{}}, s)
	require.NotNil(t, s.exactProblem())
	require.Error(t, c.slotCheck().Func(ctx), "there is no slot")

	for _, sql := range clickHouseSide {
		require.NoError(t, c.ClickHouse.Exec(ctx, sql), sql)
	}
	var lsn string
	require.NoError(t, c.Postgres.QueryRow(ctx, "SELECT lsn::text FROM pg_create_logical_replication_slot('dirtbike', 'pgoutput')").Scan(&lsn))
	fresh()
	s, err = c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, "copying", s.Phase)
	require.Positive(t, *s.LagBytes)
	require.NotNil(t, s.RetainedWALBytes)
	require.Equal(t, []TableStatus{
		{Table: "billing.lines", Phase: "copying", Rows: 3, RowsEstimated: true},
		{Table: "public.claims", Phase: "streaming", Rows: 5, Exact: true, RowsEstimated: true},
		{Table: "public.left", Phase: "excluded", RowsEstimated: true, Reason: "capture: no longer named"},
		{Table: "public.visits", Phase: "quarantined", DeadLetters: 4, RowsEstimated: true, Reason: "load: column note: malformed value"},
	}, plain(s.Tables))
	requireCounted(t, c, s)
	require.NoError(t, c.slotCheck().Func(ctx))
	require.Equal(t, "1 of 4 tables quarantined: public.visits (load: column note: malformed value)", s.tablesProblem().What)
	require.Equal(t, "not equal to the source: billing.lines, public.visits (quarantined)", s.exactProblem().What)

	requireConnected(t, c, stack.Postgres.URL())
	requireUncaptured(t, c, fresh)
	requireMetrics(t, c)
	requireCheap(t, c, fresh)
	requireChecks(t, c, "clickhouse", "slot", "tables", "exact", "privacy", "encryption")
	require.NoError(t, stack.ClickHouse.Kill())
	fresh()
	_, err = c.Status(ctx)
	require.Len(t, cdc.Explain(err).Try, 1)
	require.NotContains(t, err.Error(), "\n")
	families := gather(t, c)
	require.Contains(t, families, "dirtbike_slot_safe_wal_bytes")
	require.Zero(t, families["dirtbike_status_up"])
	require.NoError(t, c.slotCheck().Func(ctx), "the slot is watched while ClickHouse is away")

	require.NoError(t, stack.Postgres.Stop(ctx))
	c.Postgres.(*pgxpool.Pool).Reset() // its connections are broken
	fresh()
	for _, check := range slices.DeleteFunc(c.Checks()[1:], func(check Check) bool { return check.Name == "privacy" || check.Name == "encryption" }) {
		err := check.Func(ctx)
		require.ErrorIs(t, err, cdc.ErrUnreachable, check.Name)
		require.Len(t, cdc.Explain(err).Try, 1)
	}
}

// requireCounted: counting asks each view by itself, so that a broken one leaves the others alone.
func requireCounted(t *testing.T, c *Collector, s Status) {
	t.Helper()
	s.Tables = slices.Clone(s.Tables)
	require.NoError(t, c.ClickHouse.Exec(t.Context(), "RENAME TABLE clinic.left TO clinic.away"))
	tables := c.Counted(t.Context(), s).Tables
	require.NoError(t, c.ClickHouse.Exec(t.Context(), "RENAME TABLE clinic.away TO clinic.left"))
	require.Equal(t, TableStatus{Table: "public.claims", Phase: "streaming", Rows: 4, Exact: true, Inexact: map[string]int64{"due": 4}}, plain(tables)[1])
	require.True(t, tables[0].RowsEstimated, "it has no view yet")
	require.True(t, tables[2].RowsEstimated)
	require.Len(t, tables[2].problems, 2, "it says why it was not counted")
}

// requireConnected: a capture is seen that is connected and does not stream, as while Kafka hangs.
func requireConnected(t *testing.T, c *Collector, url string) {
	t.Helper()
	connected := func() bool {
		f, err := readSlot(t.Context(), c.Postgres, c.Slot)
		require.NoError(t, err)
		return f.connected
	}
	require.False(t, connected())
	options, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	options.RuntimeParams["application_name"] = postgres.AttendName(c.Slot)
	capture, err := pgx.ConnectConfig(t.Context(), options)
	require.NoError(t, err)
	require.True(t, connected())
	require.NoError(t, capture.Close(t.Context()))
	require.Eventually(t, func() bool { return !connected() }, 10*time.Second, 10*time.Millisecond)
}

// requireUncaptured: what source.tables names and capture has not published is new; what it has published is on its
// way.
func requireUncaptured(t *testing.T, c *Collector, fresh func()) {
	t.Helper()
	ctx := t.Context()
	pg := c.Postgres.(*pgxpool.Pool)
	for _, sql := range []string{"CREATE TABLE claims (id int PRIMARY KEY)", "CREATE TABLE fresh (id int PRIMARY KEY)", "CREATE TABLE taken (id int PRIMARY KEY)", "CREATE TABLE other (id int)", "CREATE PUBLICATION dirtbike FOR TABLE claims, taken"} {
		_, err := pg.Exec(ctx, sql)
		require.NoError(t, err, sql)
	}
	c.Publication, c.Match = "dirtbike", func(schema, table string) bool { return schema == "public" && table != "other" }
	c.Obstacles = func(context.Context) (map[string]*cdc.Problem, error) {
		return map[string]*cdc.Problem{"public.fresh": cdc.Failed("owner may not").Fix("GRANT"), "public.claims": cdc.Failed("it is captured")}, nil
	}
	defer func() { c.Match = nil; fresh() }()
	fresh()
	s, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, []TableStatus{
		{Table: "public.fresh", Phase: "new", Reason: "not captured: owner may not. Try: GRANT; then restart capture"},
		{Table: "public.left", Phase: "excluded", RowsEstimated: true, Reason: "capture: no longer named"},
		{Table: "public.taken", Phase: "copying"},
	}, plain(s.Tables[2:5]))
	require.Equal(t, "1 of 6 tables quarantined: public.visits (load: column note: malformed value); not captured: public.fresh (owner may not)", s.tablesProblem().What)
}

// gather gives the value of each metric by its name and labels.
func gather(t *testing.T, c *Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetGauge().GetValue()
		}
	}
	return values
}

func requireMetrics(t *testing.T, c *Collector) {
	t.Helper()
	values := gather(t, c)
	for name, want := range map[string]float64{
		"dirtbike_status_up": 1, "dirtbike_slot_active": 0, "dirtbike_table_exact public.claims": 1, "dirtbike_table_exact public.visits": 0,
		"dirtbike_table_in_quarantine public.visits": 1, "dirtbike_table_stored_rows public.claims": 5, "dirtbike_table_dead_letters public.visits": 4,
	} {
		require.Contains(t, values, name)
		require.Equal(t, want, values[name], name)
	}
	for _, name := range []string{"dirtbike_lag_bytes", "dirtbike_slot_safe_wal_bytes"} {
		require.Positive(t, values[name], name)
	}
}

func requireChecks(t *testing.T, c *Collector, names ...string) {
	t.Helper()
	var got []string
	for _, check := range c.Checks() {
		got = append(got, check.Name)
	}
	require.Equal(t, names, got)
	withCapture := NewCollector(c.Sources)
	withCapture.Capture = func() capture.Status { return capture.Status{LastError: "x"} }
	require.Len(t, withCapture.Checks(), len(names)+1)
}
