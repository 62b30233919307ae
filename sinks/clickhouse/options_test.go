package clickhouse

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// TestOptions: what cannot work is refused before anything is asked of a server, and no secret is quoted.
func TestOptions(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Options){
		"option Group is required":    func(o *Options) { o.Group = "" },
		"option Registry is required": func(o *Options) { o.Registry = nil },
		"the HTTP interface":          func(o *Options) { o.URL = "http://u:hunter2@127.0.0.1:8123" },
		"URL is malformed":            func(o *Options) { o.URL = "clickhouse://u:hunter2@127.0.0.1:9000/?dial_timeout=soon" },
	} {
		o := w.options()
		change(&o)
		_, err := New(o)
		require.Contains(t, cdc.Explain(err).What, name)
		require.NotContains(t, err.Error(), "hunter2")
		for _, way := range cdc.Explain(err).Try { // an address that can be used
			o.URL, _, _ = strings.Cut(way.Command, " (")
			o.Metrics = nil
			_, err = New(o)
			require.NoError(t, err, way.Command)
		}
	}
	o := w.options()
	o.MemoryBytes = 1
	l, err := New(o)
	require.NoError(t, err)
	require.LessOrEqual(t, l.o.BatchBytes, int64(leastMemoryBytes/batchShare))
}

// TestMetrics: every metric has a value after some work, and labels are table names only.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "counted")
	w.fill(tab, 0, 10, 10)
	r := prometheus.NewRegistry()
	l := w.load(func(o *Options) { o.Metrics = r })
	w.wait()
	l.stop(t)
	families, err := r.Gather()
	require.NoError(t, err)
	got := map[string]bool{}
	for _, f := range families {
		require.True(t, strings.HasPrefix(f.GetName(), "dirtbike_load_"), f.GetName())
		got[f.GetName()] = true
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				require.Equal(t, "table=public.counted", label.GetName()+"="+label.GetValue())
			}
		}
	}
	for _, name := range []string{"rows_total", "bytes_total", "inserts_total", "insert_seconds", "commit_to_applied_seconds", "lag_records", "quarantined_tables", "retries_total"} {
		require.True(t, got["dirtbike_load_"+name], name)
	}
}

// TestBootstrapTwice is idempotent, also at the same time.
func TestBootstrapTwice(t *testing.T) {
	w := newWorld(t)
	done := make(chan error, 3)
	for range cap(done) {
		go func() { done <- ledger.New(w.conn, w.database).Bootstrap(context.Background()) }()
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
	rows, err := ledger.New(w.conn, w.database).Complete(w.ctx)
	require.NoError(t, err)
	require.Empty(t, rows)
}

// TestStorages: of each source table all generations, however its name ends, and no other table.
func TestStorages(t *testing.T) {
	w := newWorld(t)
	books := ledger.New(w.conn, w.database)
	none, err := books.Storages(w.ctx)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, books.Bootstrap(w.ctx))
	for _, name := range []string{
		schemas.ClickHouseStorage("public", "claims", 9), schemas.ClickHouseStorage("public", "claims", 12), schemas.ClickHouseStorage("s", "a__g3", 4), "a__gx", "a__g99999999999",
	} {
		require.NoError(t, w.conn.Exec(w.ctx, "CREATE TABLE "+schemas.ClickHouseIdent(schemas.StorageDatabase(w.database))+"."+schemas.ClickHouseIdent(name)+
			" (id Int8) ENGINE = MergeTree ORDER BY id AS SELECT 7"))
	}
	got, err := books.Storages(w.ctx)
	require.NoError(t, err)
	require.Equal(t, []ledger.Storage{{View: "claims", Generation: 12, Rows: 1, Parts: 1}, {View: "claims", Generation: 9, Rows: 1, Parts: 1}, {View: "s_a__g3", Generation: 4, Rows: 1, Parts: 1}}, got)
}
