package preflight

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestFixedThenRun: from nothing granted to all good by printed commands alone; then a run really starts with these
// rights, and a check at the same time disturbs no process. Until the run starts, nothing has changed anywhere.
func TestFixedThenRun(t *testing.T) {
	t.Parallel()
	s := embeddedtest.Start(t, embedded.Options{Parts: embedded.Parts{Postgres: true, ClickHouse: true}})
	addWeakUser(t, s)
	makeClinic(t, s)
	cluster, admin := kfakeCluster(t, 1)
	registry := srfake.New(srfake.WithGlobalCompat(sr.CompatBackward))
	t.Cleanup(registry.Close)
	weak, err := url.Parse(s.ClickHouse.URL())
	require.NoError(t, err)
	weak.User = url.UserPassword("weak", "secret")
	r := newRig(t, loginURL(t, s), cluster.ListenAddrs(), registry.URL(), weak.String())
	r.stack, r.admin = s, admin
	r.set(saslConfig)
	r.exec(`REVOKE ALL ON ALL TABLES IN SCHEMA public, "Odd Schema" FROM "dirt-bike"`, `REVOKE USAGE ON SCHEMA "Odd Schema" FROM "dirt-bike"`, `ALTER ROLE "dirt-bike" NOREPLICATION`,
		"DROP PUBLICATION dirtbike", "ALTER TABLE public.patients ENABLE ROW LEVEL SECURITY", `CREATE TABLE public.unkeyed (a int)`)

	before := r.everything()
	report := r.check()
	require.Equal(t, before, r.everything(), "a check changes nothing")
	for range 20 {
		at := slices.IndexFunc(report.Checks, func(c Check) bool { return c.Level != LevelOK && kind(c.Command) != "words" })
		if at < 0 {
			break
		}
		t.Logf("%s: %s", report.Checks[at].Slug, report.Checks[at].Command)
		r.apply(report.Checks[at])
		report = r.check()
	}
	require.True(t, report.OK, textOf(report))
	_, warnings := report.Counts()
	require.Zero(t, warnings, textOf(report))
	before = r.everything()
	r.check()
	require.Equal(t, before, r.everything(), "nor does one that has every right")

	stop := r.start()
	report = r.check()
	require.True(t, report.OK, textOf(report))
	require.Contains(t, textOf(report), "a capture reads it")
	stop()
	require.True(t, r.check().OK, "what is stored fits")
	r.namesGone()
	r.exec(`ALTER ROLE "dirt-bike" NOREPLICATION`)
	c, is := bad(r.check(), "pipeline-start")
	require.True(t, is)
	require.Equal(t, []string{"a start would be refused, for what is said above", ""}, []string{c.Message, c.Command}, "one command is enough")
	r.fixed("postgres-role", LevelError, "no right to replicate")
	key := filepath.Join(filepath.Dir(r.file), "dirtbike.hash.key")
	require.NoError(t, os.Rename(key, key+".away"))
	c, is = bad(r.check(), "pipeline-hash-key")
	require.True(t, is)
	require.Contains(t, c.Command, key)
	require.NoFileExists(t, key)
	require.NoError(t, os.Rename(key+".away", key))
	r.exec("SELECT pg_drop_replication_slot('dirtbike')")
	report = r.check()
	c, is = bad(report, "postgres-slot")
	require.True(t, is, "a slot that is gone is no slot that would be made: %s", textOf(report))
	require.Contains(t, c.Message, "slot dirtbike is gone; changes after")
	require.Equal(t, cdc.ResnapshotAllCommand, c.Command)
	c, is = bad(report, "pipeline-start")
	require.True(t, is)
	require.Equal(t, "a start would be refused, for what is said of the slot above", c.Message)
	r.otherPipeline()
	r.set("source: {url: 'postgres://u@127.0.0.1:1/d'}")
	report = r.check()
	for _, c := range report.Checks {
		if c.Slug == "pipeline-state" || c.Slug == "kafka-topics" {
			require.Regexp(t, "(it could not be compared with the source|those of the tables are not known), since Postgres is not reachable$", c.Message)
		}
	}
	r.good(report, "pipeline-state")
}

// namesGone: with a state stored, a start goes on without a name that nothing has, but not if a captured table is named
// no more.
func (r *rig) namesGone() {
	r.Helper()
	raw, err := os.ReadFile(r.file)
	require.NoError(r, err)
	defer func() { require.NoError(r, os.WriteFile(r.file, raw, 0o600)) }()
	r.set(`privacy: {columns: {public.patient: {id: keep}}}`)
	report := r.check()
	c, is := bad(report, "config-names")
	require.True(r, is)
	require.True(r, report.OK, textOf(report))
	require.Equal(r, LevelWarning, c.Level)
	require.Regexp(r, `there is no table "public.patient"; a start goes on without it$`, c.Message)
	require.Regexp(r, `^in privacy.columns.public.patient \(line \d+\): remove it$`, c.Command, "public.patients is there already")
	r.set(`source: {tables: ["public.patience", "Odd Schema.*"]}`)
	report = r.check()
	require.False(r, report.OK)
	for _, c := range report.Checks {
		require.False(r, c.Slug == namesSlug && c.Level != LevelError, "a slip of the pen: %+v", c)
	}
	c, is = bad(report, "pipeline-start")
	require.True(r, is)
	require.Equal(r, "a start would be refused, for what is said above", c.Message)
}

// otherPipeline: the database that one pipeline loads into is refused to another one, as load would.
func (r *rig) otherPipeline() {
	r.Helper()
	r.kept()
	r.set("kafka: {prefix: other}")
	c, is := bad(r.check(), "clickhouse-databases")
	require.True(r, is)
	require.Equal(r, LevelError, c.Level)
	require.Equal(r, "clickhouse: {database: clinic_2}", c.Command)
	r.apply(c)
	r.good(r.check(), "clickhouse-databases")
	r.set("{kafka: {prefix: clinic}, clickhouse: {database: clinic}}")
	r.good(r.check(), "clickhouse-databases")
}

// start runs both legs until ClickHouse answers with the copied rows; the returned function stops them.
func (r *rig) start() (stop func()) {
	r.Helper()
	c, err := config.Load(r.file)
	require.NoError(r, err)
	o := pipeline.Options{Config: c, Log: zaptest.NewLogger(r.T)}
	capture, release, err := pipeline.NewCapture(o)
	require.NoError(r, err)
	load, free, err := pipeline.NewLoad(o)
	require.NoError(r, err)
	r.Cleanup(free)
	ctx, cancel := context.WithCancel(r.Context())
	var legs errgroup.Group
	legs.Go(func() error { return capture.Run(ctx) })
	legs.Go(func() error { return load.Run(ctx) })
	conn := embeddedtest.ClickHouse(r, r.stack.ClickHouse.URL())
	require.Eventually(r, func() bool {
		var rows uint64
		return conn.QueryRow(ctx, "SELECT count() FROM clinic.patients").Scan(&rows) == nil && rows == 20 && capture.Status().Phase == cdc.PhaseStreaming
	}, time.Minute, 100*time.Millisecond)
	return func() {
		cancel()
		require.NoError(r, legs.Wait())
		release(context.Background())
	}
}

// everything lists all that exists, in every part and next to the config.
func (r *rig) everything() []string {
	r.Helper()
	var out []string
	conn := embeddedtest.Connect(r, r.stack.Postgres.DatabaseURL("clinic"))
	for _, sql := range []string{
		"SELECT format('relation %s %s %s', oid, relname, xmin) FROM pg_class", "SELECT format('role %s %s', rolname, xmin) FROM pg_authid",
		"SELECT format('publication %s %s', pubname, xmin) FROM pg_publication", "SELECT format('slot %s %s', slot_name, confirmed_flush_lsn) FROM pg_replication_slots",
		"SELECT format('setting %s %s', name, setting) FROM pg_settings WHERE source <> 'session'", "SELECT format('database %s %s', datname, xmin) FROM pg_database",
	} {
		rows, err := conn.Query(r.Context(), sql)
		require.NoError(r, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(r, err)
		out = append(out, names...)
	}
	out = append(out, inside(r.T, r.admin)...)
	groups, err := r.admin.ListGroups(r.Context())
	require.NoError(r, err)
	out = append(out, groups.Groups()...)
	sink := embeddedtest.ClickHouse(r, r.stack.ClickHouse.URL())
	var tables []string
	require.NoError(r, sink.QueryRow(r.Context(), "SELECT groupArray(concat(database, '.', name)) FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')").Scan(&tables))
	out = append(out, tables...)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(r.file), "*"))
	require.NoError(r, err)
	out = append(out, files...)
	slices.Sort(out)
	return out
}

// TestPartsThatHang: a server that accepts and says nothing costs only its own part, and no more than the timeout.
func TestPartsThatHang(t *testing.T) {
	t.Parallel()
	silent := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() }) // connections stay in its queue until then
		return l.Addr().String()
	}
	r := newRig(t, "postgres://u:secret@"+silent()+"/d?sslmode=disable", []string{silent()}, "http://"+silent(), "clickhouse://"+silent())
	began := time.Now()
	report := r.check()
	require.Less(t, time.Since(began), 15*time.Second)
	require.True(t, report.Unreachable(), textOf(report))
	for _, part := range []string{partPostgres, partKafka, partRegistry, partClickHouse} {
		c, is := bad(report, part+"-connect")
		require.True(t, is, part)
		require.NotEmpty(t, c.Command, part)
	}
}

// TestEncryption warns of what others could read, and only of that. (No name is resolved: .invalid has none.)
func TestEncryption(t *testing.T) {
	for _, c := range []struct {
		part, yaml string
		level      Level
	}{
		{partPostgres, `source: {url: "postgres://u@127.0.0.1:1/d?sslmode=disable"}`, LevelOK},
		{partPostgres, `source: {url: "host=/tmp user=u"}`, LevelOK},
		{partPostgres, `source: {url: "postgres://u@db.invalid/d?sslmode=disable"}`, LevelWarning},
		{partPostgres, `source: {url: "postgres://u@db.invalid/d"}`, LevelWarning},
		{partPostgres, `source: {url: "postgres://u@db.invalid/d?sslmode=allow"}`, LevelWarning},
		{partPostgres, `source: {url: "postgres://u@db.invalid/d?sslmode=require"}`, LevelWarning},
		{partPostgres, `source: {url: "postgres://u@db.invalid/d?sslmode=verify-full"}`, LevelOK},
		{partKafka, `kafka: {brokers: ["127.0.0.1:1", "kafka.invalid:1"]}`, LevelWarning},
		{partKafka, `kafka: {brokers: ["kafka.invalid:1"], tls: {}}`, LevelOK},
		{partRegistry, `registry: {url: "http://r.invalid"}`, LevelWarning},
		{partRegistry, `registry: {url: "https://r.invalid"}`, LevelOK},
		{partClickHouse, `clickhouse: {url: "clickhouse://ch.invalid:9000"}`, LevelWarning},
		{partClickHouse, `clickhouse: {url: "clickhouse://ch.invalid:9440?secure=true"}`, LevelOK},
		{partClickHouse, `clickhouse: {url: "clickhouse://ch.invalid:9440?secure=true&skip_verify=true"}`, LevelWarning},
		{partConfig, `ops: {listen: "0.0.0.0:1", token: tq7Vx2Lm9ZrB4wKp}`, LevelWarning},
		{partClickHouse, `clickhouse: {url: "clickhouse://ch.invalid:9440", tls: {}}`, LevelOK},
	} {
		r := newRig(t, "postgres://u@127.0.0.1:1/d", []string{"127.0.0.1:1"}, "http://127.0.0.1:1", "clickhouse://127.0.0.1:1")
		r.set(c.yaml)
		cfg, err := config.Load(r.file)
		require.NoError(t, err)
		look := &run{config: cfg, parts: map[string]*part{}}
		for _, name := range []string{partConfig, partPostgres, partKafka, partRegistry, partClickHouse} {
			look.parts[name] = &part{name: name}
		}
		look.judgeEncryption()
		found := look.parts[c.part].close()
		require.Len(t, found, 1, c.yaml)
		require.Equal(t, c.level, found[0].Level, "%s: %+v", c.yaml, found[0])
	}
}
