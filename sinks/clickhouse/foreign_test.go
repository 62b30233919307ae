package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// foreignProducer writes what the test gives it, as somebody who may write to the topics and is not the capture. With
// a transactional id it commits it. It gives the producer's id.
func (w *world) foreignProducer(transactional string, records ...*kgo.Record) (id int64) {
	w.t.Helper()
	opts := append(w.options().Kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerBatchMaxBytes(64<<20))
	if transactional != "" {
		opts = append(opts, kgo.TransactionalID(transactional))
	}
	client, err := kgo.NewClient(opts...)
	require.NoError(w.t, err)
	defer client.Close()
	if transactional != "" {
		require.NoError(w.t, client.BeginTransaction())
	}
	require.NoError(w.t, client.ProduceSync(w.ctx, records...).FirstErr())
	if transactional != "" {
		require.NoError(w.t, client.EndTransaction(w.ctx, kgo.TryCommit))
	}
	id, _, err = client.ProducerID(w.ctx)
	require.NoError(w.t, err)
	return id
}

// claims is a live table of two columns.
func (w *world) claims(name string) *sourceTable {
	return w.table(name, 1, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
}

// TestForeignRecords: whatever another writer puts into a table's topic or the progress topic changes neither the table
// nor what is called complete; it is counted, named in a few lines, and the pipeline's own records go on.
func TestForeignRecords(t *testing.T) {
	w := newWorld(t)
	tab := w.claims("claims")
	w.begin().insert(tab, "1", "one").insert(tab, "2", "two").commit()
	core, lines := observer.New(zap.WarnLevel)
	l := w.load(func(o *Options) { o.Log = zap.New(core) })
	w.wait()

	deletes := func() []*kgo.Record {
		return w.begin().delete(tab, "1", "one").update(tab, "2", "forged").records()
	}
	w.foreignProducer("", deletes()...)
	w.foreignProducer(w.prefix+".foreign", deletes()...)
	junk := make([]*kgo.Record, 5000)
	for i := range junk {
		junk[i] = &kgo.Record{Topic: tab.topic.Name, Key: []byte("foreign")}
	}
	w.foreignProducer("", junk...)
	forged := []byte(`{"format":2,"epoch":1,"commit_lsn":"F/0","ordinal":0,"lsn":"F/0","time_us":4000000000000000,"full":true,"offsets":{},"tables":{}}`)
	for _, transactional := range []string{"", w.prefix + ".progress"} {
		w.foreignProducer(transactional, &kgo.Record{Topic: schemas.ProgressTopic(w.prefix), Value: forged}, &kgo.Record{Topic: schemas.ProgressTopic(w.prefix), Value: []byte("junk")})
	}
	w.begin().insert(tab, "3", "three").commit()
	w.wait()
	w.eventually([]string{"1\tone", "2\ttwo", "3\tthree"}, "SELECT * FROM DB.claims ORDER BY id")
	require.Equal(t, w.lsn+0x20, w.complete("").LSN, "nothing moves it beyond what was published")
	require.GreaterOrEqual(t, testutil.ToFloat64(l.metrics.foreign.WithLabelValues(tab.topic.Name)), 5006.0)
	require.Equal(t, 4.0, testutil.ToFloat64(l.metrics.foreign.WithLabelValues(schemas.ProgressTopic(w.prefix))))
	w.noticed("foreign records", ledger.NoticeForeign+" "+ledger.NoticeKind(schemas.ProgressTopic(w.prefix)), ledger.NoticeForeign+" "+ledger.NoticeKind(tab.topic.Name))
	require.LessOrEqual(t, lines.FilterMessageSnippet("another writer").Len(), 2, "one line for each topic")

	w.exec("INSERT INTO RAW.notices SELECT 'waits', toString(number), '', repeat('x', 1000), 0, 1, now64(6) FROM numbers(100000)")
	_, err := ledger.New(w.conn, w.database).Notices(w.ctx)
	require.Equal(t, proto.ErrTooManyRowsOrBytes, errcode.Of(err), "what others write to the bookkeeping is not read into memory without a bound")
	require.NotEmpty(t, cdc.Explain(err).Remedies())
}

// TestAliasOfATopic: a topic whose name only looks like that of a table changes no table, not even with the pipeline's
// own records, and stops nothing.
func TestAliasOfATopic(t *testing.T) {
	w := newWorld(t)
	tab := w.claims("other")
	w.begin().insert(tab, "1", "one").commit()
	alias := w.prefix + ".public.oth_x0065_r"
	w.createTopic(alias, 1, false)
	forged := w.begin().delete(tab, "1", "one").records()
	for _, r := range forged {
		r.Topic = alias
	}
	w.foreignProducer("", forged...)
	w.load()
	w.begin().insert(tab, "2", "two").commit()
	w.wait()
	w.eventually([]string{"1\tone", "2\ttwo"}, "SELECT * FROM DB.other ORDER BY id")
}

// TestBatchTooLarge: a batch that unpacks to more than capture writes is passed over, if somebody else wrote it; one of
// the pipeline's own quarantines its table and nothing else. What is before the one in the same answer is loaded.
func TestBatchTooLarge(t *testing.T) {
	w := newWorld(t)
	foreign, own, other := w.claims("claims"), w.claims("own"), w.claims("other")
	w.begin().insert(foreign, "1", "one").insert(own, "1", "one").insert(other, "1", "one").commit()
	large := func(tab *sourceTable) *kgo.Record {
		return &kgo.Record{Topic: tab.topic.Name, Value: make([]byte, 40<<20)}
	}
	w.foreignProducer("", large(foreign))
	w.foreignProducer("somebody", large(foreign))
	w.begin().insert(foreign, "2", "two").insert(own, "2", "two").commit()
	id := w.foreignProducer("own", large(own))
	w.producersMu.Lock()
	w.producers = append(w.producers, id)
	w.producersMu.Unlock()
	w.begin().insert(foreign, "3", "three").insert(other, "3", "three").commit()
	w.load()
	w.eventually([]string{"public.own"}, "SELECT table FROM "+w.rawTable("quarantine")+" FINAL WHERE open = 1")
	w.eventually([]string{"1\tone", "2\ttwo", "3\tthree"}, "SELECT * FROM DB.claims ORDER BY id")
	w.eventually([]string{"1\tone", "3\tthree"}, "SELECT * FROM DB.other ORDER BY id")
}

// TestALimitThatWasLowered: a record that capture wrote under a higher kafka.max_message_bytes quarantines its table,
// and with the former limit a new copy is loaded.
func TestALimitThatWasLowered(t *testing.T) {
	w := newWorld(t)
	w.connect(kgo.ProducerBatchMaxBytes(64<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	tab, large := w.claims("large"), strings.Repeat("x", 20<<20)
	w.begin().insert(tab, "0", "small").commit()
	w.begin().insert(tab, "1", large).commit()
	l := w.load()
	quarantine := " FROM " + w.rawTable("quarantine") + " FINAL WHERE open = 1"
	w.eventually([]string{"public.large"}, "SELECT table"+quarantine)
	require.Contains(t, cdc.ParseProblem(w.query("SELECT reason" + quarantine)[0]).Try[0].Command, "raise kafka.max_message_bytes to what it was; then dirtbike resnapshot public.large")
	l.stop(t)
	w.copyAgain(tab, []string{"1", large})
	w.load(func(o *Options) { o.MaxMessageBytes = 32 << 20 })
	w.eventually([]string{"1\t20971520"}, "SELECT id, length(v) FROM DB.large")
	w.eventually(nil, "SELECT table"+quarantine)
}

// TestTopicsThatAreNobodys are named in the log until they are deleted, and not read.
func TestTopicsThatAreNobodys(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	ours, foreign := leaveForeign(zap.New(core), "p", []string{"p.public.a", "p.x"})
	require.Equal(t, [][]string{{"p.public.a"}, {"p.x"}}, [][]string{ours, foreign})
	require.Len(t, lines.TakeAll(), 1)
	_, foreign = leaveForeign(zap.New(core), "p", []string{"p.public.a"})
	require.Empty(t, foreign)
	require.Zero(t, lines.Len())
}

// TestTopicsOfNoTable: somebody makes hundreds of topics below the prefix and writes to them; of one the beginning is
// gone. Nothing is asked or said for each, no table is quarantined, and the pipeline's own goes on.
func TestTopicsOfNoTable(t *testing.T) {
	const many = 300
	w := newWorld(t)
	tab := w.claims("claims")
	w.begin().insert(tab, "1", "one").commit()
	client, err := kgo.NewClient(w.options().Kafka...)
	require.NoError(t, err)
	defer client.Close()
	var names []string
	var records []*kgo.Record
	for n := range many {
		names = append(names, fmt.Sprintf("%s.public.zz%d", w.prefix, n))
		records = append(records, &kgo.Record{Topic: names[n], Key: []byte("k")}, &kgo.Record{Topic: names[n], Key: []byte("k"), Value: []byte("v")})
	}
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopics(w.ctx, 1, 1, nil, names...)
	require.NoError(t, err)
	w.foreignProducer("", records...)
	var cut kadm.Offsets
	cut.Add(kadm.Offset{Topic: names[0], Partition: 0, At: 1})
	_, err = admin.DeleteRecords(w.ctx, cut)
	require.NoError(t, err)

	core, lines := observer.New(zap.InfoLevel)
	registry := prometheus.NewRegistry()
	w.load(func(o *Options) { o.Log, o.Metrics = zap.New(core), registry })
	w.wait()
	require.Equal(t, []string{"1\tone"}, w.query("SELECT * FROM DB.claims"))
	require.Eventually(t, func() bool {
		count, err := testutil.GatherAndCount(registry, "dirtbike_load_foreign_records_total")
		return err == nil && count == 1
	}, 10*time.Second, 20*time.Millisecond, "one series for all of them")
	w.noticed("others", ledger.NoticeForeign+" "+noTables)
	require.Empty(t, w.query("SELECT table FROM "+w.rawTable("quarantine")+" FINAL WHERE open = 1"))
	require.Less(t, lines.Len(), 20)
	require.True(t, w.complete("").Exact)
}

// counted is a list of producers that counts how often it is read.
type counted struct{ asked int }

func (c *counted) Producers(context.Context) ([]int64, error) {
	c.asked++
	return []int64{1, 2}, nil
}

// TestManyWriters: however many producers have written what one poll brought, the pipeline's are read once.
func TestManyWriters(t *testing.T) {
	list := &counted{}
	at := func(ctx context.Context, _ string, f func(context.Context) error) error { return f(ctx) }
	w := &writers{producers: list, retry: at, once: at, known: map[int64]bool{}}
	for poll := range 3 {
		w.polled()
		for id := range int64(mostWriters) {
			ours, err := w.wrote(t.Context(), &apply.Topic{}, int64(poll)*mostWriters+id, true)
			require.NoError(t, err)
			require.Equal(t, poll == 0 && (id == 1 || id == 2), ours)
		}
		require.Equal(t, poll+1, list.asked)
		require.LessOrEqual(t, len(w.known), 2*mostWriters+3)
	}
}

// TestPassedOverNamesFew: the log names the first record of a topic, and then how many there were, once a minute.
func TestPassedOverNamesFew(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	m, err := newMetrics(nil)
	require.NoError(t, err)
	p := &passedOver{count: m.foreign, log: zap.New(core), topics: map[string]*passedOverTopic{}}
	for range 5000 {
		p.note("a", &kgo.Record{Topic: "a"}, "why")
	}
	p.note("b", &kgo.Record{Topic: "b"}, "why")
	require.Equal(t, 2, lines.Len())
	p.topics["a"].said = time.Now().Add(-passedOverEvery)
	p.note("a", &kgo.Record{Topic: "a"}, "why")
	require.EqualValues(t, 5000, lines.All()[2].ContextMap()["records"])
}
