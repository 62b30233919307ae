package preflight

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"dirtbike/cdc/postgres"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestPostgresFixed builds each thing that can be wrong with Postgres on a real one, and sees the printed command fix
// it. The server begins as it is after initdb: wal_level is replica.
func TestPostgresFixed(t *testing.T) {
	s := stack.Get(t)
	makeClinic(t, s)
	cluster, admin := kfakeCluster(t, 1)
	registry := httptest.NewServer(srfake.NewRegistry().Handler())
	t.Cleanup(registry.Close)
	base := newRig(t, loginURL(t, s), cluster.ListenAddrs(), registry.URL, s.ClickHouse.URL())
	base.stack, base.admin = s, admin
	base.set(saslConfig)

	step := func(name string, f func(r *rig)) {
		t.Run(name, func(t *testing.T) {
			r := base.as(t)
			r.kept()
			f(r)
		})
	}
	step("settings", settingsFixed)
	step("rights", func(r *rig) {
		r.exec(`ALTER ROLE "dirt-bike" NOREPLICATION`)
		r.fixed("postgres-role", LevelError, "no right to replicate")
		r.exec(`REVOKE USAGE ON SCHEMA "Odd Schema" FROM "dirt-bike"`)
		r.fixed("postgres-schemas", LevelError, `"dirt-bike" may not use 1 schema`)
		r.exec(`REVOKE SELECT ON ALL TABLES IN SCHEMA public, "Odd Schema" FROM "dirt-bike"`)
		c := r.fixed("postgres-select", LevelError, "may not read 2 tables")
		require.Equal(r, `GRANT SELECT ON TABLE "Odd Schema"."O'Hara ""x""" TO "dirt-bike";`+"\n"+
			`GRANT SELECT (patient_id, mrn, name) ON TABLE public.patients TO "dirt-bike";`, c.Command, "no more than leaves")
		r.exec(`GRANT SELECT ON TABLE public.patients TO "dirt-bike"`)
		r.exec(`ALTER TABLE public.patients ENABLE ROW LEVEL SECURITY`)
		r.fixed("postgres-row-security", LevelError, "hides rows of 1 table")
		r.exec(`ALTER ROLE "dirt-bike" NOBYPASSRLS`, `ALTER TABLE public.patients DISABLE ROW LEVEL SECURITY`)
	})
	step("tables", tablesFixed)
	step("owners", ownersFixed)
	step("policies and names", namesFixed)
	step("publication", publicationFixed)
	step("all at once", onceFixed)
	step("slot", slotFixed)
}

// ownersFixed: a function of a table's owner that runs with the role's rights is named with its table and its owner; it
// is his to take away.
func ownersFixed(r *rig) {
	r.good(r.check(), "postgres-owner-functions")
	r.exec("CREATE ROLE stranger", "CREATE FUNCTION public.theirs(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
		"ALTER FUNCTION public.theirs(int, int) OWNER TO stranger", "CREATE INDEX theirs ON public.patients (patient_id) WHERE public.theirs(1, 2)")
	c, is := bad(r.check(), "postgres-owner-functions")
	require.True(r, is)
	require.Equal(r, []any{LevelWarning, "public.patients"}, []any{c.Level, c.Subject})
	require.Contains(r, c.Message, "theirs(integer,integer) of role stranger")
	r.exec("DROP INDEX public.theirs", "DROP FUNCTION public.theirs(int, int)", "DROP ROLE stranger")
	r.good(r.check(), "postgres-owner-functions")
}

// settingsFixed needs restarts of the server, because its settings change.
func settingsFixed(r *rig) {
	r.fixed("postgres-wal-level", LevelError, "it is replica and must be logical; it takes a restart of Postgres", r.restartPostgres)
	r.fixed("postgres-wal-keep", LevelWarning, "without a limit")

	r.exec("ALTER SYSTEM SET idle_replication_slot_timeout = '1h'", "SELECT pg_reload_conf()")
	require.Eventually(r, func() bool { // the server takes a moment to read it again
		_, is := bad(r.check(), "postgres-wal-keep")
		return is
	}, 10*time.Second, 50*time.Millisecond)
	c := r.fixed("postgres-wal-keep", LevelWarning, "Postgres drops the changes for a slot that is not read")
	require.Equal(r, "idle_replication_slot_timeout", c.Subject)

	r.exec("SELECT pg_create_physical_replication_slot('other' || g) FROM generate_series(1, 9) g")
	r.good(r.check(), "postgres-slots")
	r.exec("SELECT pg_create_physical_replication_slot('more')")
	r.fixed("postgres-slots", LevelError, "all are in use", r.restartPostgres)

	var standbys []*pgconn.PgConn
	leave := func() {
		for _, c := range standbys {
			_ = c.Close(context.Background())
		}
		standbys = nil
	}
	come := func() {
		o, err := pgconn.ParseConfig(r.stack.Postgres.URL())
		require.NoError(r, err)
		o.RuntimeParams["replication"] = "true"
		for range 10 {
			c, err := pgconn.ConnectConfig(r.Context(), o)
			require.NoError(r, err)
			standbys = append(standbys, c)
		}
	}
	come()
	defer leave()
	r.fixed("postgres-walsenders", LevelError, "all are in use", leave, r.restartPostgres, come)
	r.good(r.check(), "postgres-replication")

	r.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name <> 'other1'",
		"SELECT pg_create_logical_replication_slot('dirtbike', 'pgoutput', false, false, true)")
	r.fixed("postgres-failover", LevelWarning, "nothing keeps it from being ahead of the standby")
	r.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots", "ALTER SYSTEM RESET synchronized_standby_slots", "SELECT pg_reload_conf()")
}

func tablesFixed(r *rig) {
	r.exec("CREATE TABLE public.nobody (id int PRIMARY KEY) PARTITION BY RANGE (id)")
	partitioned, is := bad(r.check(), "postgres-tables")
	require.True(r, is)
	require.True(r, strings.HasPrefix(partitioned.Message, "it cannot be captured: it is partitioned"), "no policy fixes that: %s", partitioned.Message)
	r.exec("DROP TABLE public.nobody")
	for name, c := range map[string]struct{ sql, says, command string }{
		"index":    {`CREATE TABLE public."No Key" (a int NOT NULL, b text, UNIQUE (a))`, "it has no primary key", `ALTER TABLE public."No Key" REPLICA IDENTITY USING INDEX "No Key_a_key";`},
		"none":     {`CREATE TABLE public."No Key" (a int)`, "it has no primary key", `source: {tables: ["public.*", "Odd Schema.*", "!public.No Key"]}`},
		"unlogged": {`CREATE UNLOGGED TABLE public."No Key" (a int PRIMARY KEY)`, "it is UNLOGGED", `ALTER TABLE public."No Key" SET LOGGED;`},
		"nothing":  {`CREATE TABLE public."No Key" (a int PRIMARY KEY); ALTER TABLE public."No Key" REPLICA IDENTITY NOTHING`, "NOTHING", `ALTER TABLE public."No Key" REPLICA IDENTITY DEFAULT;`},
		"listed": {`CREATE TABLE public."No Key" (a int PRIMARY KEY, b int); ALTER TABLE public."No Key" REPLICA IDENTITY FULL;
			ALTER PUBLICATION dirtbike ADD TABLE ONLY public."No Key" (a, b)`, "refuses updates", `ALTER TABLE public."No Key" REPLICA IDENTITY DEFAULT;`},
		"deferrable": {`CREATE TABLE public."No Key" (a int, b int, CONSTRAINT "the Key" PRIMARY KEY (a, b) DEFERRABLE INITIALLY DEFERRED)`, "DEFERRABLE",
			`ALTER TABLE public."No Key" DROP CONSTRAINT "the Key", ADD CONSTRAINT "the Key" PRIMARY KEY (a, b);`},
		"odd name": {`CREATE TABLE public."No Key" ("a DEFERRABLE b" int, b int, PRIMARY KEY (b, "a DEFERRABLE b") INCLUDE ("b") DEFERRABLE)`, "DEFERRABLE",
			`ALTER TABLE public."No Key" DROP CONSTRAINT "No Key_pkey", ADD CONSTRAINT "No Key_pkey" PRIMARY KEY (b, "a DEFERRABLE b") INCLUDE (b);`},
		"partitioned": {`CREATE TABLE public."No Key" (a int PRIMARY KEY) PARTITION BY RANGE (a)`, "it is partitioned", `source: {tables: ["public.*", "Odd Schema.*", "!public.No Key"]}`},
	} {
		r.Run(name, func(t *testing.T) {
			r := r.as(t)
			r.kept()
			r.exec(c.sql)
			r.set(`privacy: {columns: {public.No Key: {"*": keep}}}`)
			check := r.fixed("postgres-tables", LevelError, c.says)
			require.Equal(t, c.command, check.Command)
			require.Equal(t, "public.No Key", check.Subject)
			require.Equal(t, strings.Contains(c.says, "DEFERRABLE") || strings.Contains(c.says, "UNLOGGED"), strings.Contains(check.way(), "do it in a quiet hour:\n"))
			r.exec(`DROP TABLE public."No Key"`)
		})
	}
	r.exec("CREATE TABLE public.large (id text PRIMARY KEY, v text)", "ALTER TABLE public.large ALTER v SET STORAGE EXTERNAL", "INSERT INTO public.large VALUES ('a', repeat('x', 100000))", "VACUUM public.large")
	r.set(`privacy: {columns: {public.large: {"*": keep}}}`)
	r.fixed("postgres-identity", LevelWarning, "a key that may change")
	r.exec("ALTER TABLE public.large REPLICA IDENTITY DEFAULT", "ALTER TABLE public.large ADD made int GENERATED ALWAYS AS (1) STORED", "VACUUM public.large")
	r.good(r.check(), "postgres-identity") // with FULL, Postgres 18 refuses updates of a published table with such a column
	r.exec("DROP TABLE public.large")
}

func namesFixed(r *rig) {
	r.set(`source: {tables: ["public.*", "Odd Schema.*", "public.patience"]}`)
	c, is := bad(r.check(), "config-names")
	require.True(r, is)
	require.Contains(r, c.Message, "matches no table")
	require.Regexp(r, `^in source.tables\[2\] \(line \d+\) write "public.patients"$`, c.Command)
	require.Equal(r, "words", kind(c.Command))
	r.set(`source: {tables: ["public.*", "Odd Schema.*", "zzzzzzzzzzz.*"]}`)
	c, is = bad(r.check(), "config-names")
	require.True(r, is)
	require.Contains(r, c.Command, "or remove the glob")
	r.set(`source: {tables: ["public.*", "Odd Schema.*", "public.patients", "!public.patients"]}`)
	c = r.fixed("config-names", LevelWarning, `"public.patients" by "!public.patients"`)
	require.Equal(r, `source: {tables: ["public.*", "Odd Schema.*", "!public.patients"]}`, c.Command)
	r.set(`source: {tables: ["public.*", "Odd Schema.*", "public.*"]}`)

	r.exec("CREATE TABLE public.unkeyed1 (a int)", "CREATE TABLE public.unkeyed2 (a int)")
	c = r.fixed("postgres-tables", LevelError, "it has no primary key")
	require.Equal(r, `source: {tables: ["public.*", "Odd Schema.*", "!public.unkeyed1", "!public.unkeyed2"]}`, c.Command, "one line leaves both out")
	r.exec("DROP TABLE public.unkeyed1, public.unkeyed2")
	r.set(`source: {tables: ["public.*", "Odd Schema.*"]}`)

	r.Run("misspelt", func(t *testing.T) { misspeltFixed(r.as(t)) })

	r.set(`privacy: {columns: {public.patients: {patient_id: mask}}}`)
	c = r.fixed("config-policies", LevelError, "rows with different keys would become one")
	require.Equal(r, `privacy: {columns: {"public.patients": {"patient_id": keep}}}`, c.Command)
	r.exec("CREATE TABLE public.zips (id int PRIMARY KEY, area int)")
	r.set(`privacy: {columns: {public.zips: {id: keep, area: zip3}}}`)
	c = r.fixed("config-policies", LevelError, "zip3 needs a text column")
	require.Equal(r, `privacy: {columns: {"public.zips": {"area": drop}}}`, c.Command)

	r.exec("CREATE SCHEMA billing", "CREATE TABLE billing.zips (id int PRIMARY KEY)", "CREATE TABLE public.billing_zips (id int PRIMARY KEY)", `GRANT USAGE ON SCHEMA billing TO "dirt-bike"`)
	r.set(`{source: {tables: ["public.*", "billing.*"]}, privacy: {columns: {billing.zips: {id: keep}, public.billing_zips: {id: keep}}}}`)
	r.fixed("postgres-names", LevelError, "would share the ClickHouse view")
	r.exec("DROP SCHEMA billing CASCADE", "DROP TABLE public.billing_zips, public.zips")
}

// misspeltFixed: a column that is not there has a nearest one; but no policy fixes a table that cannot be captured.
func misspeltFixed(r *rig) {
	r.kept()
	r.exec("CREATE TABLE public.misspelt (id int PRIMARY KEY, given text)")
	r.set(`privacy: {columns: {public.misspelt: {idd: keep, given: mask}}}`)
	c, is := bad(r.check(), "config-policies")
	require.True(r, is)
	require.Contains(r, c.Message, `has no column "idd"`)
	require.Regexp(r, `^in privacy.columns.public.misspelt.idd \(line \d+\) write "id"$`, c.Command)
	r.exec("DROP TABLE public.misspelt")
	r.exec("CREATE UNLOGGED TABLE public.misspelt (id int PRIMARY KEY)")
	r.set(`privacy: {columns: {public.misspelt: {idd: keep}}}`)
	c = r.fixed("postgres-tables", LevelError, "it is UNLOGGED")
	require.Equal(r, "public.misspelt", c.Subject)
	r.exec("DROP TABLE public.misspelt")
}

func publicationFixed(r *rig) {
	report := r.check()
	r.good(report, "postgres-publication")
	for says, sql := range map[string]string{
		"leaves operations out":      "ALTER PUBLICATION dirtbike SET (publish = 'insert')",
		"publish_via_partition_root": "ALTER PUBLICATION dirtbike SET (publish_via_partition_root = true)",
		"generated columns":          "ALTER PUBLICATION dirtbike SET (publish_generated_columns = stored)",
		"row filter":                 `ALTER PUBLICATION dirtbike SET TABLE ONLY public.patients, ONLY "Odd Schema"."O'Hara ""x""" WHERE ("Id" > 0)`,
		"it lacks public.patients":   "ALTER PUBLICATION dirtbike DROP TABLE ONLY public.patients",
		"cannot make it":             "DROP PUBLICATION dirtbike",
	} {
		r.Run(says, func(t *testing.T) {
			r := r.as(t)
			r.exec(sql)
			r.fixed("postgres-publication", LevelError, says)
		})
	}
	r.exec(`ALTER PUBLICATION dirtbike SET TABLE ONLY public.patients (patient_id), ONLY "Odd Schema"."O'Hara ""x"""`)
	r.fixed("postgres-tables", LevelError, "the column list of publication dirtbike for it lacks")
	// what dirtbike may do itself is no failure
	r.exec("DROP PUBLICATION dirtbike", `GRANT "Clinic Owner" TO "dirt-bike"`, `GRANT CREATE ON DATABASE clinic TO "dirt-bike"`)
	r.good(r.check(), "postgres-publication")
	r.exec("CREATE PUBLICATION dirtbike FOR TABLE ONLY public.patients", `ALTER PUBLICATION dirtbike OWNER TO "Clinic Owner"`)
	r.good(r.check(), "postgres-publication")
	r.exec(`REVOKE "Clinic Owner" FROM "dirt-bike"`, `REVOKE CREATE ON DATABASE clinic FROM "dirt-bike"`, `ALTER PUBLICATION dirtbike ADD TABLE ONLY "Odd Schema"."O'Hara ""x"""`)
}

// slotFixed: a slot that cannot be ours belongs to another pipeline; one that can may be left of a pipeline whose
// state is lost, and then no other slot is proposed.
func slotFixed(r *rig) {
	r.grantKafka()
	r.exec("SELECT pg_create_logical_replication_slot('dirtbike', 'test_decoding')")
	c := r.fixed("pipeline-start", LevelError, "test_decoding")
	require.Equal(r, "source: {slot: dirtbike_2}", c.Command)
	r.exec("SELECT pg_drop_replication_slot('dirtbike')", "SELECT pg_create_logical_replication_slot('dirtbike_2', 'pgoutput')")
	c, is := bad(r.check(), "pipeline-start")
	require.True(r, is)
	require.Contains(r, c.Message, "the state topic knows nothing of it")
	require.Contains(r, c.Command, "dirtbike resnapshot --all")
	require.Equal(r, "words", kind(c.Command))
	r.exec("SELECT pg_drop_replication_slot('dirtbike_2')")
	r.good(r.check(), "pipeline-start")
	r.exec("CREATE DATABASE elsewhere")
	r.inDatabase("elsewhere", "SELECT pg_create_logical_replication_slot('dirtbike_2', 'pgoutput')")
	c = r.fixed("pipeline-start", LevelError, "belongs to database elsewhere")
	require.Equal(r, "source: {slot: dirtbike_2_2}", c.Command)
	r.inDatabase("elsewhere", "SELECT pg_drop_replication_slot('dirtbike_2')")
	r.exec("DROP DATABASE elsewhere")
}

// grantKafka runs what check prints of rights, until nothing is missing.
func (r *rig) grantKafka() {
	r.Helper()
	for _, slug := range []string{"kafka-topic-rights", "kafka-transaction-rights", "kafka-group-rights", "kafka-cluster-rights"} {
		for range 3 { // two prefixes; and some brokers hide what follows
			if c, is := bad(r.check(), slug); is {
				r.apply(c)
			}
		}
		r.good(r.check(), slug)
	}
}

// TestOldestPostgres: the questions fit a server of 14, too, and one that is no primary.
func TestOldestPostgres(t *testing.T) {
	t.Parallel()
	s := embeddedtest.Start(t, embedded.Options{Parts: embedded.Parts{Postgres: true}, PostgresVersion: "14"})
	makeClinic(t, s)
	r := newRig(t, loginURL(t, s), []string{"127.0.0.1:1"}, "http://127.0.0.1:1", "clickhouse://127.0.0.1:1")
	report := r.check()
	require.True(t, report.Unreachable(), textOf(report))
	for _, slug := range []string{"postgres-version", "postgres-publication", "postgres-slot", "postgres-identity", "postgres-replication"} {
		r.good(report, slug)
	}
	for _, part := range []string{partKafka, partRegistry, partClickHouse} {
		c, is := bad(report, part+"-connect")
		require.True(t, is)
		require.NotEmpty(t, c.Command)
	}
	away, _ := bad(report, "clickhouse-connect")
	require.Equal(t, "see that ClickHouse runs and clickhouse.url names its native port; one with TLS needs clickhouse.tls", away.Command)
	r.stack = s
	r.set("clickhouse: {url: '" + stack.Get(t).ClickHouse.URL() + "'}") // one that is away is asked again and again
	standby := filepath.Join(s.Postgres.DataDir(), "standby.signal")
	require.NoError(t, os.WriteFile(standby, nil, 0o644))
	r.restartPostgres()
	report = r.check()
	r.good(report, "clickhouse-connect")
	c, is := bad(report, "postgres-primary")
	require.True(t, is)
	require.Contains(t, c.Message, "this is a standby")
	require.False(t, r.check().Unreachable())
	r.exec("SELECT pg_promote()")
	r.good(r.check(), "postgres-primary")

	r.exec("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
	r.inDatabase("bytes", "CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text, ssn text, name text, note text)")
	r.set("source: {url: '" + s.Postgres.DatabaseURL("bytes") + "'}")
	c, is = bad(r.check(), "postgres-encoding")
	require.True(t, is)
	require.Contains(t, c.Message, "SQL_ASCII")
}

// TestVersions: what is too old, and what is not known.
func TestVersions(t *testing.T) {
	for version, level := range map[string]Level{"26.5.1.1": LevelOK, "27.1": LevelOK, "26.4.9": LevelError, "25.12": LevelError, "head": LevelError} {
		p := &part{name: partClickHouse}
		judgeClickHouseVersion(p, version)
		require.Equal(t, level, p.close()[0].Level, version)
	}
	for version, level := range map[int]Level{130022: LevelError, 140012: LevelWarning, 140013: LevelOK, 180004: LevelOK, 190000: LevelError} {
		p := &part{name: partPostgres}
		(&server{Server: postgres.Server{Version: version, WALLevel: "logical", RefusesKinds: version != 140012}}).judgeServer(p)
		require.Equal(t, level, p.close()[0].Level, version)
	}
	for keep, level := range map[int64]Level{-1: LevelWarning, 0: LevelWarning, 100: LevelWarning, 1024: LevelOK} {
		p := &part{name: partPostgres}
		(&server{Server: postgres.Server{KeepMB: keep}}).judgeKeep(p)
		require.Equal(t, level, p.close()[0].Level, keep)
	}
	for skew, level := range map[time.Duration]Level{0: LevelOK, -time.Minute: LevelWarning, time.Hour: LevelWarning} {
		p := &part{name: partPostgres}
		judgeClock(p, time.Now().Add(skew), "Postgres")
		require.Equal(t, level, p.close()[0].Level, skew)
	}
}
