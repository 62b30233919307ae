package embedded

import (
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// usePostgres writes a row into a new table of a new database.
func usePostgres(t *testing.T, p *Postgres) {
	t.Helper()
	ctx := testContext(t)
	require.NoError(t, p.CreateDatabase(ctx, "clinic"))
	conn, err := pgx.Connect(ctx, p.DatabaseURL("clinic"))
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE TABLE visits (id bigint PRIMARY KEY, note text)")
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "INSERT INTO visits VALUES (1, 'first')")
	require.NoError(t, err)
}

// requirePostgres fails unless that row is there.
func requirePostgres(t *testing.T, url string) {
	t.Helper()
	ctx := testContext(t)
	conn, err := pgx.Connect(ctx, strings.Replace(url, "/postgres?", "/clinic?", 1))
	require.NoError(t, err)
	defer conn.Close(ctx)
	var note, level, zone string
	err = conn.QueryRow(ctx, "SELECT note, current_setting('wal_level'), current_setting('TimeZone') FROM visits").Scan(&note, &level, &zone)
	require.NoError(t, err)
	require.Equal(t, []string{"first", "logical", "UTC"}, []string{note, level, zone})
}

func openNative(t *testing.T, url string) driver.Conn {
	t.Helper()
	o, err := clickhouse.ParseDSN(url)
	require.NoError(t, err)
	conn, err := clickhouse.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// useClickHouse inserts 1000 rows over the native protocol.
func useClickHouse(t *testing.T, url string) {
	t.Helper()
	ctx, conn := testContext(t), openNative(t, url)
	require.NoError(t, conn.Exec(ctx, "CREATE DATABASE clinic"))
	require.NoError(t, conn.Exec(ctx, "CREATE TABLE clinic.visits (id Int64, at DateTime64(6)) ENGINE = MergeTree ORDER BY id"))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO clinic.visits")
	require.NoError(t, err)
	for i := range 1000 {
		require.NoError(t, batch.Append(int64(i), time.Unix(int64(i), 0)))
	}
	require.NoError(t, batch.Send())
}

func requireClickHouse(t *testing.T, url string) {
	t.Helper()
	var rows, sum uint64
	var zone string
	err := openNative(t, url).QueryRow(testContext(t), "SELECT count(), sum(id)::UInt64, serverTimezone() FROM clinic.visits").Scan(&rows, &sum, &zone)
	require.NoError(t, err)
	require.Equal(t, uint64(1000), rows)
	require.Equal(t, uint64(499500), sum)
	require.Equal(t, "UTC", zone)
}

// useKafka commits one transaction and aborts another.
func useKafka(t *testing.T, brokers []string) {
	t.Helper()
	ctx := testContext(t)
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("visits"))
	require.NoError(t, err)
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(ctx, 2, int16(min(3, len(brokers))), nil, "visits")
	require.NoError(t, err)
	for value, commit := range map[string]kgo.TransactionEndTry{"kept": kgo.TryCommit, "aborted": kgo.TryAbort} {
		require.NoError(t, c.BeginTransaction())
		require.NoError(t, c.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
		require.NoError(t, c.EndTransaction(ctx, commit))
	}
}

// requireKafka fails unless a read_committed reader sees the committed record and nothing else.
func requireKafka(t *testing.T, brokers []string) {
	t.Helper()
	ctx := testContext(t)
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("visits"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer c.Close()
	var got []string
	for len(got) == 0 {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	require.Equal(t, []string{"kept"}, got)
	_, err = kadm.NewClient(c).ListEndOffsets(ctx, "not_created")
	require.NoError(t, err)
	topics, err := kadm.NewClient(c).ListTopics(ctx, "not_created")
	require.NoError(t, err)
	require.ErrorIs(t, topics["not_created"].Err, kerr.UnknownTopicOrPartition, "topics must not appear by themselves")
}

func schemaOf(name string) sr.Schema {
	return sr.Schema{Type: sr.TypeAvro, Schema: `{"type":"record","name":"` + name + `","fields":[{"name":"id","type":"long"}]}`}
}

// useRegistry registers three schemas and returns their ids.
func useRegistry(t *testing.T, url string) []int {
	t.Helper()
	ctx := testContext(t)
	c, err := sr.NewClient(sr.URLs(url))
	require.NoError(t, err)
	for _, r := range c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatNone}) {
		require.NoError(t, r.Err)
	}
	var ids []int
	for _, name := range []string{"a", "b", "a", "c"} {
		s, err := c.CreateSchema(ctx, "clinic."+name+"-value", schemaOf(name))
		require.NoError(t, err)
		ids = append(ids, s.ID)
	}
	require.Equal(t, ids[0], ids[2])
	return ids
}

func requireRegistry(t *testing.T, url string, ids []int) {
	t.Helper()
	ctx := testContext(t)
	c, err := sr.NewClient(sr.URLs(url))
	require.NoError(t, err)
	s, err := c.SchemaByVersion(ctx, "clinic.c-value", -1)
	require.NoError(t, err)
	require.Equal(t, ids[3], s.ID)
	require.Equal(t, schemaOf("c").Schema, s.Schema.Schema)
	again, err := c.CreateSchema(ctx, "clinic.b-value", schemaOf("b"))
	require.NoError(t, err)
	require.Equal(t, ids[1], again.ID)
	for _, r := range c.Compatibility(ctx) {
		require.NoError(t, r.Err)
		require.Equal(t, sr.CompatNone, r.Level)
	}
}
