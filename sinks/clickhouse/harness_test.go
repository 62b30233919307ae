package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/schemas/registry"
	"dirtbike/sinks/clickhouse/ledger"
)

var worlds atomic.Int64

// world is one pipeline: a prefix, a database, and a producer that plays capture.
type world struct {
	t        testing.TB
	ctx      context.Context
	prefix   string
	database string
	kc       *kgo.Client // transactional
	admin    *kadm.Client
	conn     driver.Conn
	registry schemas.Registry
	known    map[string]map[string]int64 // progress offsets already produced
	offsets  map[string]map[string]int64 // last data offset + 1
	tables   map[string]cdc.TableProgress
	epoch    uint32
	lsn      cdc.LSN
	full     bool

	producersMu sync.Mutex
	producers   []int64
	controls    []cdc.ControlRecord // the control topic
	controlLog  byte                // which control topic it is
	// controlsOpen says that a transaction is open on it.
	controlsOpen bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	n := worlds.Add(1)
	w := &world{
		t: t, ctx: ctx, prefix: fmt.Sprintf("w%d", n), database: fmt.Sprintf("db%d", n), epoch: 1, lsn: 0x1000000, full: true,
		known: map[string]map[string]int64{}, offsets: map[string]map[string]int64{}, tables: map[string]cdc.TableProgress{},
	}
	var err error
	w.connect()
	w.conn = embeddedtest.ClickHouse(t, stack.Get(t).ClickHouse.URL())
	w.registry, err = registry.New([]string{stack.Get(w.t).Registry.URL()}, registry.Options{})
	require.NoError(t, err)
	w.createTopic(schemas.ProgressTopic(w.prefix), 1, false)
	return w
}

// connect makes the producer.
func (w *world) connect(opts ...kgo.Opt) {
	w.t.Helper()
	var err error
	w.kc, err = kgo.NewClient(append(opts, kgo.SeedBrokers(stack.Get(w.t).Kafka.Brokers()...), kgo.TransactionalID(w.prefix), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(w.t, err)
	w.t.Cleanup(w.kc.Close)
	w.admin = kadm.NewClient(w.kc)
	w.claim()
}

func (w *world) createTopic(name string, partitions int32, compacted bool) {
	w.t.Helper()
	policy := "delete"
	if compacted {
		policy = "compact"
	}
	_, err := w.admin.CreateTopic(w.ctx, partitions, 1, map[string]*string{"cleanup.policy": &policy}, name)
	require.NoError(w.t, err)
}

// sourceTable is a source table with its encoder.
type sourceTable struct {
	w     *world
	rel   *schemas.Relation
	table *schemas.Table
	topic *cdc.Topic
	enc   cdc.TableEncoder
	gen   uint32
	// number is that of the generation's last control.
	number uint32
}

type keepAll struct{}

func (keepAll) For(*schemas.Relation, int) (schemas.Transform, bool, error) { return nil, true, nil }

func (w *world) table(name string, partitions int32, identity cdc.ReplicaIdentity, key []int, columns ...schemas.Column) *sourceTable {
	w.t.Helper()
	return w.tableOf(&schemas.Relation{OID: 1, Schema: "public", Name: name, Database: "test", Identity: identity, Columns: columns, Key: key}, partitions, keepAll{})
}

func (w *world) tableOf(rel *schemas.Relation, partitions int32, policies schemas.Policies) *sourceTable {
	w.t.Helper()
	topic := schemas.TopicName(w.prefix, rel.Schema, rel.Name)
	t := &sourceTable{w: w, rel: rel}
	var err error
	t.table, err = schemas.NewTable(rel, topic, policies)
	require.NoError(w.t, err)
	t.topic = &cdc.Topic{Name: topic, Partitions: partitions, Compacted: t.table.Compacted, Tombstones: true}
	t.compile()
	w.createTopic(topic, partitions, false)
	return t
}

func (t *sourceTable) compile(reread ...cdc.Rereader) {
	w := t.w
	var ids avro.IDs
	key, err := avro.KeySchema(t.table)
	require.NoError(w.t, err)
	value, err := avro.EnvelopeSchema(t.table)
	require.NoError(w.t, err)
	ids.Key, err = w.registry.Register(w.ctx, t.topic.Name+"-key", key)
	require.NoError(w.t, err)
	ids.Value, err = w.registry.Register(w.ctx, t.topic.Name+"-value", value)
	require.NoError(w.t, err)
	var r cdc.Rereader
	if len(reread) > 0 {
		r = reread[0]
	}
	t.enc, err = avro.NewEncoder(t.rel, t.table, t.topic, ids, r)
	require.NoError(w.t, err)
}

// plainColumn makes a relation column of a plain type.
func plainColumn(name string, kind schemas.Kind, notNull bool) schemas.Column {
	return schemas.Column{Name: name, Type: schemas.Type{Kind: kind, Name: kind.String()}, NotNull: notNull}
}

// tuple makes a tuple of texts; "\N" is NULL and "\U" unchanged.
func tuple(values ...string) cdc.Tuple {
	var out cdc.Tuple
	for _, v := range values {
		switch v {
		case `\N`:
			out = append(out, cdc.Datum{Kind: cdc.DatumNull})
		case `\U`:
			out = append(out, cdc.Datum{Kind: cdc.DatumUnchanged})
		default:
			out = append(out, cdc.Datum{Kind: cdc.DatumText, Data: []byte(v)})
		}
	}
	return out
}

// tx is one source transaction being built.
type tx struct {
	w     *world
	chunk cdc.Chunk
	at    cdc.Position
}

// begin starts a transaction at the next LSN.
func (w *world) begin() *tx {
	w.lsn += 0x100
	return &tx{w: w, at: cdc.Position{Epoch: w.epoch, CommitLSN: w.lsn}}
}

func (x *tx) meta(t *sourceTable) *cdc.Meta {
	x.at.Ordinal++
	return x.metaAt(t, x.at)
}

func (x *tx) metaAt(t *sourceTable, at cdc.Position) *cdc.Meta {
	now := time.Now().UnixMicro()
	return &cdc.Meta{Position: at, LSN: at.CommitLSN, XID: 7, CommitTime: now, Generation: t.gen, Controls: t.number, Now: now}
}

func (x *tx) insert(t *sourceTable, values ...string) *tx {
	require.NoError(x.w.t, t.enc.Append(x.w.ctx, &x.chunk, x.meta(t), cdc.RowChange{Op: cdc.OpCreate, New: tuple(values...)}))
	return x
}

func (x *tx) update(t *sourceTable, values ...string) *tx {
	m := x.meta(t)
	x.at.Ordinal++
	require.NoError(x.w.t, t.enc.Append(x.w.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpUpdate, XID: m.XID, New: tuple(values...)}))
	return x
}

func (x *tx) delete(t *sourceTable, values ...string) *tx {
	require.NoError(x.w.t, t.enc.Append(x.w.ctx, &x.chunk, x.meta(t), cdc.RowChange{Op: cdc.OpDelete, OldKind: cdc.OldKey, Old: tuple(values...)}))
	return x
}

func (x *tx) truncate(t *sourceTable) *tx {
	return x.control(t, x.meta(t), cdc.ControlTruncate)
}

// control adds a control of the table, under its next number.
func (x *tx) control(t *sourceTable, m *cdc.Meta, kind cdc.ControlKind) *tx {
	t.number++
	m.Controls = t.number
	t.enc.Control(&x.chunk, m, kind)
	return x
}

func (x *tx) open(t *sourceTable) *tx {
	t.gen++
	t.number = 0
	return x.control(t, x.metaAt(t, cdc.Position{Epoch: x.at.Epoch, CommitLSN: x.at.CommitLSN}), cdc.ControlOpen)
}

// read adds a snapshot row at a version.
func (x *tx) read(t *sourceTable, at cdc.Position, values ...string) *tx {
	require.NoError(x.w.t, t.enc.Append(x.w.ctx, &x.chunk, x.metaAt(t, at), cdc.RowChange{Op: cdc.OpRead, New: tuple(values...)}))
	return x
}

func (x *tx) end(t *sourceTable, cut cdc.Position) *tx {
	return x.control(t, x.metaAt(t, cut), cdc.ControlEnd)
}

// position of a snapshot taken now.
func (x *tx) snapshot() cdc.Position {
	return cdc.Position{Epoch: x.at.Epoch, CommitLSN: x.at.CommitLSN}
}

// records turns the chunk into Kafka records.
func (x *tx) records() []*kgo.Record {
	var out []*kgo.Record
	controls := x.chunk.Controls
	next := func(at int) {
		for len(controls) > 0 && controls[0].After <= at {
			out = append(out, &kgo.Record{Topic: schemas.ControlTopic(x.w.prefix), Context: context.WithValue(x.w.ctx, controlKey{}, controls[0])})
			controls = controls[1:]
		}
	}
	for i := range x.chunk.Records {
		next(i)
		r := &x.chunk.Records[i]
		rec := &kgo.Record{Topic: r.Topic.Name, Partition: r.Partition, Key: x.chunk.Key(i), Value: x.chunk.Value(i)}
		if r.Tombstone {
			rec.Headers = []kgo.RecordHeader{{Key: cdc.PositionHeader, Value: r.Position.AppendTo(nil)}}
		}
		out = append(out, rec)
	}
	next(len(x.chunk.Records))
	return out
}

// commit produces the transaction with its progress record.
func (x *tx) commit() { x.w.produce(x.records(), true) }

// abort produces the records and aborts.
func (x *tx) abort() { x.w.produce(x.records(), false) }

func (w *world) produce(records []*kgo.Record, commit bool) {
	w.t.Helper()
	require.NoError(w.t, w.kc.BeginTransaction())
	w.produceRows(records, commit)
	if !commit {
		require.NoError(w.t, w.kc.EndTransaction(w.ctx, kgo.TryAbort))
		return
	}
	require.NoError(w.t, w.kc.ProduceSync(w.ctx, w.progressRecord()).FirstErr())
	require.NoError(w.t, w.kc.EndTransaction(w.ctx, kgo.TryCommit))
}

func (w *world) see(r *kgo.Record) {
	if w.offsets[r.Topic] == nil {
		w.offsets[r.Topic] = map[string]int64{}
	}
	w.offsets[r.Topic][strconv.Itoa(int(r.Partition))] = r.Offset + 1
}

func (w *world) progressRecord() *kgo.Record {
	p := cdc.Progress{Format: cdc.StateFormat, Epoch: w.epoch, CommitLSN: w.lsn, Ordinal: 1, LSN: w.lsn + 0x20, TimeUS: time.Now().UnixMicro(), Full: w.full, Tables: w.tables}
	p.Offsets = map[string]map[string]int64{}
	for topic, parts := range w.offsets {
		for id, next := range parts {
			if w.full || w.known[topic][id] != next {
				if p.Offsets[topic] == nil {
					p.Offsets[topic] = map[string]int64{}
				}
				p.Offsets[topic][id] = next
			}
			if w.known[topic] == nil {
				w.known[topic] = map[string]int64{}
			}
			w.known[topic][id] = next
		}
	}
	w.full, w.tables = false, map[string]cdc.TableProgress{}
	value, err := json.Marshal(p)
	require.NoError(w.t, err)
	return &kgo.Record{Topic: schemas.ProgressTopic(w.prefix), Value: value}
}

// idle advances the source without a change.
func (w *world) idle() {
	w.lsn += 0x100
	w.produce(nil, true)
}

// live gives the table an empty first generation.
func (t *sourceTable) live() *sourceTable {
	x := t.w.begin().open(t)
	x.end(t, x.snapshot()).commit()
	return t
}

// loader is a Loader that runs.
type loader struct {
	*Loader
	cancel context.CancelFunc
	done   chan error
}

// Producers implements cdc.Producers by the ids that the test has produced under.
func (w *world) Producers(context.Context) ([]int64, error) {
	w.producersMu.Lock()
	defer w.producersMu.Unlock()
	if w.controlsOpen { // the same transaction
		return nil, errors.New("a transaction has been open")
	}
	return slices.Clone(w.producers), nil
}

// claim notes the producer's id.
func (w *world) claim() {
	id, _, err := w.kc.ProducerID(w.ctx)
	require.NoError(w.t, err)
	w.producersMu.Lock()
	defer w.producersMu.Unlock()
	w.producers = append(w.producers, id)
}

func (w *world) options() Options {
	return Options{
		Producers: w, Controls: w, Kafka: []kgo.Opt{kgo.SeedBrokers(stack.Get(w.t).Kafka.Brokers()...)}, Group: w.prefix, Prefix: w.prefix, Registry: w.registry,
		URL: stack.Get(w.t).ClickHouse.URL(), Database: w.database, StoragePatience: time.Second, Log: zaptest.NewLogger(w.t, zaptest.Level(zap.InfoLevel)),
	}
}

func (w *world) load(change ...func(*Options)) *loader {
	w.t.Helper()
	o := w.options()
	for _, f := range change {
		f(&o)
	}
	l, err := New(o)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	run := &loader{Loader: l, cancel: cancel, done: make(chan error, 1)}
	go func() { run.done <- l.Run(ctx) }()
	w.t.Cleanup(run.stopped(w.t))
	return run
}

// partitions counts those that the loader has.
func (r *loader) partitions() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.topics {
		n += len(t.Parts)
	}
	return n
}

// stop ends the loader and expects no error.
func (r *loader) stop(t testing.TB) {
	t.Helper()
	r.stopped(t)()
}

func (r *loader) stopped(t testing.TB) func() {
	return func() {
		r.cancel()
		select {
		case err, open := <-r.done:
			if open {
				close(r.done)
			}
			require.NoError(t, err)
		case <-time.After(30 * time.Second):
			t.Error("the loader did not stop")
		}
	}
}

// wait waits until everything produced so far is complete.
func (w *world) wait() {
	w.t.Helper()
	want := w.lsn + 0x20
	var got []ledger.Complete
	require.Eventually(w.t, func() bool {
		var stored uint64 // the view costs six times as much, so it is asked when it may be there
		err := w.conn.QueryRow(w.ctx, "SELECT max(lsn) FROM "+w.rawTable("complete")+" WHERE `table` = ''").Scan(&stored)
		if err != nil || stored < uint64(want) {
			return false
		}
		got, err = ledger.New(w.conn, w.database).Complete(w.ctx)
		return err == nil && len(got) > 0 && got[0].Table == "" && got[0].LSN >= want
	}, 60*time.Second, 20*time.Millisecond, "complete_up_to does not reach %s", want)
}

// complete gives the row of a table.
func (w *world) complete(table string) ledger.Complete {
	w.t.Helper()
	rows, err := ledger.New(w.conn, w.database).Complete(w.ctx)
	require.NoError(w.t, err)
	for _, r := range rows {
		if r.Table == table {
			return r
		}
	}
	return ledger.Complete{Table: "absent"}
}

// query gives the rows of a query as lines of tab-separated text.
func (w *world) query(sql string) []string {
	w.t.Helper()
	out, err := w.tryQuery(sql)
	require.NoError(w.t, err, sql)
	return out
}

func (w *world) tryQuery(sql string) ([]string, error) {
	rows, err := w.conn.Query(w.ctx, "SELECT formatRowNoNewline('TSV', *) FROM ("+strings.ReplaceAll(sql, "DB.", schemas.ClickHouseIdent(w.database)+".")+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err has it
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
