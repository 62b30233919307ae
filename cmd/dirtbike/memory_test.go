package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cmd/internal/bench"
	"dirtbike/docker/oracle"
	"dirtbike/schemas"
)

// memoryLimit is the most that a process may have resident, in bytes, with both legs and the default settings.
const memoryLimit = 300_000_000

// TestMemoryIsBounded sends one transaction through both legs that is larger than what they may hold together, and what
// takes more memory than it has bytes on its way: rows that compress to nothing, another writer's records that do, and
// rows that are too large for any record. Of those the table that needs the large value is quarantined, and no other.
func TestMemoryIsBounded(t *testing.T) {
	const rows, width = 400_000, 30 * 32
	require.Greater(t, rows*width, memoryLimit*5/4, "a leg that held the transaction once, and nothing else, would be too large")
	r := newRig(t, rigOptions{kafkaYAML: ", compression: zstd", privacy: "privacy: {mode: open, columns: {public.papers: {doc: drop}}}"},
		`CREATE TABLE bulky (id int PRIMARY KEY, v text); CREATE TABLE alike (id int PRIMARY KEY, v text, w text, x text, y text);
		CREATE TABLE vast (id int PRIMARY KEY, v text); CREATE TABLE papers (id int PRIMARY KEY, v text, doc text)`)
	both := r.start("run")
	r.wait()
	holds := func(what string) {
		t.Helper()
		peak, err := bench.PeakMemory(both.cmd.Process.Pid)
		require.NoError(t, err)
		t.Logf("%s: %d MB at its peak", what, peak/1_000_000)
		require.Less(t, peak, int64(memoryLimit), what)
	}
	r.exec(fmt.Sprintf(`INSERT INTO bulky SELECT g, repeat(md5(g::text), %d) FROM generate_series(1, %d) g`, width/32, rows))
	r.wait()
	holds("one transaction")
	r.exec(`INSERT INTO alike SELECT g, repeat('v', 10000000) FROM generate_series(1, 12) g`)
	r.exec(`INSERT INTO alike SELECT -g, repeat('v', 5000), repeat('w', 5000), repeat('x', 5000), repeat('y', 5000) FROM generate_series(1, 12000) g`)
	r.wait()
	holds("rows that compress to nothing")
	r.junk(schemas.TopicName(r.name, "public", "bulky"), 24, 80_000_000)
	r.exec(`INSERT INTO bulky VALUES (0, 'after')`)
	r.wait()
	holds("another writer's records")
	r.exec(`INSERT INTO papers VALUES (1, 'one', repeat('x', 250000000))`)
	r.exec(`INSERT INTO vast VALUES (1, repeat('x', 250000000))`)
	r.exec(`INSERT INTO papers VALUES (2, 'two', '')`)
	r.reaches("public.vast", "quarantined", "kafka.max_message_bytes")
	r.counts("papers", 2)
	holds("rows that are too large")

	both.stop()
	r.extra.privacy = "privacy: {mode: open, columns: {public.papers: {doc: drop}, public.vast: {v: drop}}}"
	r.writeConfig()
	code, _, errs := r.verb("resnapshot", "public.vast")
	require.Zero(t, code, errs)
	both = r.start("run")
	r.wait()
	r.counts("vast", 1)
	r.equal(oracle.Options{Skip: []string{"public.vast", "public.papers"}})
	holds("the way out")
	both.stop()
}

// counts waits until a view has that many rows.
func (r *rig) counts(view string, rows uint64) {
	r.Helper()
	conn := r.ch()
	require.Eventually(r, func() bool {
		var n uint64
		err := conn.QueryRow(r.Context(), "SELECT count() FROM "+schemas.ClickHouseIdent(r.name)+"."+view).Scan(&n)
		return err == nil && n == rows
	}, time.Minute, 100*time.Millisecond)
}

// junk writes records of nothing but zeros to a topic, as another writer who compresses them.
func (r *rig) junk(topic string, records, size int) {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerBatchMaxBytes(int32(size+1<<20)), kgo.MaxBufferedBytes(2*size))
	require.NoError(r, err)
	defer client.Close()
	for range records {
		require.NoError(r, client.ProduceSync(r.Context(), &kgo.Record{Topic: topic, Value: make([]byte, size)}).FirstErr())
	}
}
