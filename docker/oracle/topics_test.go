package oracle

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// partitions of each topic of these tests.
const partitions = 3

const keySchema = `{"type":"record","name":"Key","namespace":"%s","fields":[{"name":"id","type":"long"},{"name":"code","type":"string"},
	{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},{"name":"raw","type":"bytes"}]}`

const valueSchema = `{"type":"record","name":"Envelope","namespace":"%s","fields":[
	{"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"v","type":["null",{"type":"long","logicalType":"timestamp-micros"}]}]}]},
	{"name":"after","type":["null","Value"]},
	{"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"epoch","type":"long"},{"name":"lsn","type":"long"},{"name":"commit_lsn","type":"long"},
		{"name":"ordinal","type":"int"},{"name":"tx_id","type":["null","long"]},{"name":"ts_us","type":"long"},{"name":"snapshot","type":"boolean"},{"name":"generation","type":"int"},
		{"name":"leaf","type":"long"},{"name":"db","type":"string"},{"name":"schema","type":"string"},{"name":"table","type":"string"}]}},
	{"name":"op","type":"string"},{"name":"ts_us","type":"long"},{"name":"unchanged","type":{"type":"array","items":"string"}},
	{"name":"reread","type":{"type":"array","items":"string"}},{"name":"gone","type":"boolean"},{"name":"inexact","type":{"type":"map","values":"string"}}]}`

// sent is a record as the tests write it.
type sent struct {
	table     string // a or b
	op        Op     // empty: a tombstone
	id        int64  // of the key; 0: a control record
	control   string
	tx        int // number, from 1
	ordinal   int
	partition int32 // of a control record; -1: the key's own
	shift     int32 // how many partitions away from its own a row's record is put
}

// key is the id's key as canonical text.
func key(id int) kv {
	return kv{"id": fmt.Sprint(id), "code": "it's", "day": "8043", "amount": "1.50", "raw": "\x00\xff"}
}

// The transactions of these tests: number n has the xid 100+n, its changes are logged at 1000·n, its commit record
// starts at 1000·n+400 and ends at 1000·n+500.
func change(tx int, table string, op Op, old, new kv) Change {
	base := uint64(1000 * tx)
	return Change{Commit: tx - 1, LSN: base, CommitEnd: base + 500, XID: uint32(100 + tx), Schema: "public", Table: table, Op: op, OldKey: old, NewKey: new}
}

// committed is what Postgres committed.
func committed() []Change {
	return []Change{
		change(1, "a", OpCreate, nil, key(1)), change(1, "a", OpCreate, nil, key(2)), change(1, "b", OpCreate, nil, key(1)),
		change(2, "a", OpUpdate, key(1), key(1)),
		change(3, "other", OpCreate, nil, key(1)), change(3, "a", OpUpdate, key(2), key(3)),
		change(4, "a", OpDelete, key(1), nil), change(4, "a", OpCreate, nil, key(1)), change(4, "a", OpUpdate, key(1), key(1)),
		change(5, "a", OpTruncate, nil, nil), change(5, "b", OpTruncate, nil, nil),
		change(6, "other", OpCreate, nil, key(1)),
		change(7, "a", OpCreate, nil, key(1)), change(7, "a", OpDelete, key(1), nil),
	}
}

// published is what topics must hold for it, in the order of writing.
func published() []sent {
	out := append(control("a", "open", OpMarker, 0, 0), sent{table: "a", op: OpRead, id: 8}, sent{table: "a", op: OpRead, id: 8})
	out = append(out, control("a", "end", OpMarker, 0, 0)...)
	out = append(out,
		row("a", OpCreate, 1, 1, 1), row("a", OpCreate, 2, 1, 2), row("b", OpCreate, 1, 1, 3),
		row("a", OpUpdate, 1, 2, 2),
		row("a", OpDelete, 2, 3, 2), row("a", "", 2, 3, 0), row("a", OpCreate, 3, 3, 3),
		row("a", OpDelete, 1, 4, 1), row("a", OpCreate, 1, 4, 2), row("a", OpUpdate, 1, 4, 4))
	out = append(out, control("a", "truncate", OpTruncate, 5, 1)...)
	out = append(out, control("b", "truncate", OpTruncate, 5, 2)...)
	return append(out, row("a", OpCreate, 1, 7, 1), row("a", OpDelete, 1, 7, 2), row("a", "", 1, 7, 0))
}

func row(table string, op Op, id int64, tx, ordinal int) sent {
	return sent{table: table, op: op, id: id, tx: tx, ordinal: ordinal, partition: -1}
}

// control is one record on each partition.
func control(table, kind string, op Op, tx, ordinal int) []sent {
	var out []sent
	for p := range int32(partitions) {
		out = append(out, sent{table: table, op: op, control: kind, tx: tx, ordinal: ordinal, partition: p})
	}
	return out
}

const controlTopic = "_dirtbike.clinic.control"

func isUpdate(r Record) bool { return r.Op == OpUpdate }

// fakes is a Kafka and a registry of the test's own.
type fakes struct {
	brokers  []string
	registry *srfake.Registry
	schemas  map[string]avro.Schema
	ids      map[string]int
	client   *kgo.Client
}

// newFakes starts them and registers the schemas of tables a and b.
func newFakes(t *testing.T) *fakes {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "clinic.public.a", "clinic.public.b"), kfake.SeedTopics(1, controlTopic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	f := &fakes{brokers: cluster.ListenAddrs(), registry: srfake.New(), schemas: map[string]avro.Schema{}, ids: map[string]int{}}
	t.Cleanup(f.registry.Close)
	for _, topic := range []string{"clinic.public.a", "clinic.public.b"} {
		for name, text := range map[string]string{"Key": keySchema, "Envelope": valueSchema} {
			f.register(t, topic, name, fmt.Sprintf(text, topic))
		}
	}
	f.client = f.producer(t, "writer")
	return f
}

// producer opens a transactional producer.
func (f *fakes) producer(t *testing.T, id string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func (f *fakes) register(t *testing.T, topic, name, text string) {
	t.Helper()
	schema, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	require.NoError(t, err)
	id, _, err := f.registry.RegisterSchema(topic+"-"+name, sr.Schema{Schema: text})
	require.NoError(t, err)
	f.schemas[topic+name], f.ids[topic+name] = schema, id
}

// encode frames a value.
func (f *fakes) encode(t *testing.T, topic, name string, value map[string]any) []byte {
	t.Helper()
	payload, err := avro.Marshal(f.schemas[topic+name], value)
	require.NoError(t, err)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(f.ids[topic+name])), payload...)
}

// record encodes what is to be sent. The partitioner is Kafka's own, as franz-go has it.
func (f *fakes) record(t *testing.T, s sent) *kgo.Record {
	t.Helper()
	topic := "clinic.public." + s.table
	out := &kgo.Record{Topic: topic, Partition: s.partition}
	if s.control != "" {
		return f.control(t, topic, s)
	}
	out.Key = f.encode(t, topic, "Key", map[string]any{"id": s.id, "code": "it's", "day": 8043, "amount": big.NewRat(3, 2), "raw": []byte{0, 255}})
	home := kgo.StickyKeyPartitioner(nil).ForTopic(topic).Partition(&kgo.Record{Key: out.Key[headerSize:]}, partitions)
	out.Partition = (int32(home) + s.shift) % partitions
	if s.op != "" {
		out.Value = f.encode(t, topic, "Envelope", envelope(topic, s))
	}
	return out
}

// control is a record of the control topic that is about one partition only: its end as it is now.
func (f *fakes) control(t *testing.T, topic string, s sent) *kgo.Record {
	t.Helper()
	ends, err := kadm.NewClient(f.client).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	place := ends[topic][s.partition].Offset + int64(s.shift)
	value := fmt.Sprintf(`{"kind":%q,"topic":%q,"schema":"public","table":%q,"generation":1,"epoch":1,"commit_lsn":"0/%X","ordinal":%d,"tx_id":%d,"offsets":{"%d":%d}}`,
		s.control, topic, s.table, max(1000*s.tx+400, 0), s.ordinal, 100+s.tx, s.partition, place)
	return &kgo.Record{Topic: controlTopic, Key: []byte(s.control), Value: []byte(value)}
}

// envelope is the value's generic form.
func envelope(topic string, s sent) map[string]any {
	commit := int64(0)
	if s.tx > 0 {
		commit = int64(1000*s.tx + 400)
	}
	return map[string]any{
		"before": nil, "after": map[string]any{topic + ".Value": map[string]any{"v": nil}}, "op": string(s.op), "ts_us": int64(1), "unchanged": []string{"x"}, "reread": []string{},
		"gone": false, "inexact": map[string]any{"v": "infinity"},
		"source": map[string]any{
			"epoch": int64(1), "lsn": int64(1000 * s.tx), "commit_lsn": commit, "ordinal": s.ordinal, "tx_id": map[string]any{"long": int64(100 + s.tx)}, "ts_us": int64(1),
			"snapshot": s.op == OpRead, "generation": 1, "leaf": int64(0), "db": "clinic", "schema": "public", "table": s.table,
		},
	}
}

// send writes the records in one Kafka transaction.
func (f *fakes) send(t *testing.T, client *kgo.Client, end kgo.TransactionEndTry, records []sent) {
	t.Helper()
	require.NoError(t, client.BeginTransaction())
	for _, s := range records {
		require.NoError(t, client.ProduceSync(t.Context(), f.record(t, s)).FirstErr())
	}
	require.NoError(t, client.EndTransaction(t.Context(), end))
}

// read reads both topics.
func (f *fakes) read(t *testing.T) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	records, err := ReadTopics(ctx, f.brokers, f.registry.URL(), []string{"clinic.public.a", "clinic.public.b", controlTopic})
	require.NoError(t, err)
	return records
}

// checkOptions of these tests: table other is published but not captured.
func checkOptions() CheckOptions {
	return CheckOptions{Tables: []string{"public.a", "public.b"}, Prefix: "clinic", Published: func(string) bool { return true }}
}

// What is right passes, and is read as it was written; aborted records are not read, an open transaction ends the
// reading.
func TestReadTopics(t *testing.T) {
	f := newFakes(t)
	require.Empty(t, f.read(t))
	right := published()
	f.send(t, f.client, kgo.TryAbort, right[:8])
	f.send(t, f.client, kgo.TryCommit, right)
	f.send(t, f.client, kgo.TryAbort, right[8:])
	records := f.read(t)
	require.Len(t, records, len(right))
	require.NoError(t, CheckExactlyOnce(committed(), records, checkOptions()))

	update := slices.IndexFunc(records, func(r Record) bool { return r.Op == OpUpdate })
	got := records[update]
	require.Equal(t, key(1), got.Key)
	require.Equal(t, Position{Epoch: 1, CommitLSN: 2400, Ordinal: 2}, got.Position)
	require.Equal(t, []any{"public", "a", int64(102), int64(1), partitions}, []any{got.Schema, got.Table, got.TxID, got.Generation, got.Partitions})

	open := f.producer(t, "open")
	require.NoError(t, open.BeginTransaction())
	require.NoError(t, open.ProduceSync(t.Context(), f.record(t, right[10])).FirstErr())
	require.Len(t, f.read(t), len(right))
	require.NoError(t, open.EndTransaction(t.Context(), kgo.TryCommit))
	require.Len(t, f.read(t), len(right)+1)

	_, err := ReadTopics(t.Context(), f.brokers, f.registry.URL(), []string{"clinic.public.absent"})
	require.Error(t, err)
}

// remove removes the nth record of right; at gives it.
func remove(s []sent, n int) []sent { return slices.Delete(s, n, n+1) }

// index of the record with table, op, tx and ordinal.
func index(s []sent, table string, op Op, tx, ordinal int) int {
	return slices.IndexFunc(s, func(x sent) bool { return x.table == table && x.op == op && x.tx == tx && x.ordinal == ordinal })
}

// Each planted fault is found, through Kafka and Avro.
func TestPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func([]sent) []sent
		want  FaultKind
		also  []FaultKind // found besides
	}{
		{"lost", func(s []sent) []sent { return remove(s, index(s, "a", OpUpdate, 2, 2)) }, FaultLost, nil},
		{"lost in the middle", func(s []sent) []sent { return remove(s, index(s, "a", OpCreate, 1, 2)) }, FaultLost, nil},
		{"lost half of a key change", func(s []sent) []sent { return remove(s, index(s, "a", OpCreate, 3, 3)) }, FaultLost, nil},
		{"lost truncate of one partition", func(s []sent) []sent { return remove(s, index(s, "a", OpTruncate, 5, 1)+1) }, FaultLost, nil},
		{"lost truncate", func(s []sent) []sent {
			return slices.DeleteFunc(s, func(x sent) bool { return x.op == OpTruncate && x.table == "b" })
		}, FaultLost, nil},
		{"doubled", func(s []sent) []sent { n := index(s, "a", OpUpdate, 2, 2); return slices.Insert(s, n, s[n]) }, FaultDoubled, nil},
		{"doubled at the end", func(s []sent) []sent { return append(s, s[index(s, "a", OpCreate, 1, 1)]) }, FaultDoubled, []FaultKind{FaultReordered}},
		{"doubled in another partition", func(s []sent) []sent {
			again := s[index(s, "b", OpCreate, 1, 3)]
			again.shift = 1
			return append(s, again)
		}, FaultDoubled, []FaultKind{FaultMoved}},
		{"doubled under another position", func(s []sent) []sent {
			n := index(s, "a", OpUpdate, 2, 2)
			return slices.Insert(s, n+1, row("a", OpUpdate, 1, 2, 3))
		}, FaultExtra, nil},
		{"doubled truncate", func(s []sent) []sent { return append(s, s[index(s, "b", OpTruncate, 5, 2)]) }, FaultDoubled, nil},
		{"extra transaction", func(s []sent) []sent { return append(s, row("b", OpCreate, 5, 8, 1)) }, FaultExtra, nil},
		{"of a table that is not captured", func(s []sent) []sent { return append(s, row("a", OpCreate, 7, 6, 1)) }, FaultExtra, nil},
		{"reordered in the partition", func(s []sent) []sent {
			n, m := index(s, "a", OpDelete, 4, 1), index(s, "a", OpCreate, 4, 2)
			s[n], s[m] = s[m], s[n]
			return s
		}, FaultReordered, nil},
		{"reordered across transactions", func(s []sent) []sent {
			n, m := index(s, "a", OpCreate, 1, 1), index(s, "a", OpUpdate, 2, 2)
			s[n], s[m] = s[m], s[n]
			return s
		}, FaultReordered, nil},
		{"ordinals swapped", func(s []sent) []sent {
			n, m := index(s, "a", OpCreate, 1, 1), index(s, "b", OpCreate, 1, 3)
			s[n].ordinal, s[m].ordinal = 3, 1
			return s
		}, FaultReordered, nil},
		{"moved", func(s []sent) []sent { s[index(s, "a", OpUpdate, 2, 2)].shift = 1; return s }, FaultMoved, nil},
		{"snapshot row moved", func(s []sent) []sent { s[index(s, "a", OpRead, 0, 0)].shift = 1; return s }, FaultMoved, nil},
		{"wrong ordinal", func(s []sent) []sent { s[index(s, "a", OpUpdate, 2, 2)].ordinal = 1; return s }, FaultPosition, nil},
		{"shared position", func(s []sent) []sent { s[index(s, "b", OpCreate, 1, 3)].ordinal = 2; return s }, FaultPosition, nil},
		{"wrong key", func(s []sent) []sent { s[index(s, "a", OpCreate, 1, 2)].id = 9; return s }, FaultLost, []FaultKind{FaultExtra}},
		{"wrong op", func(s []sent) []sent { s[index(s, "a", OpUpdate, 2, 2)].op = OpCreate; return s }, FaultLost, []FaultKind{FaultExtra}},
		{"unknown op", func(s []sent) []sent { s[index(s, "a", OpUpdate, 2, 2)].op = "x"; return s }, FaultLost, []FaultKind{FaultExtra}},
		{"tombstone of a living row", func(s []sent) []sent { return append(s, row("a", "", 3, 7, 0)) }, FaultTombstone, nil},
		{"tombstone before the delete", func(s []sent) []sent {
			n := index(s, "a", OpDelete, 7, 2)
			s[n], s[n+1] = s[n+1], s[n]
			return s
		}, FaultTombstone, nil},
		{"control record of another partition", func(s []sent) []sent {
			n := index(s, "a", OpTruncate, 5, 1)
			s[n].partition = 1
			return s
		}, FaultLost, []FaultKind{FaultDoubled}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakes(t)
			f.send(t, f.client, kgo.TryCommit, c.plant(published()))
			err := CheckExactlyOnce(committed(), f.read(t), checkOptions())
			var faults Faults
			require.ErrorAs(t, err, &faults)
			require.True(t, faults.Has(c.want), err.Error())
			for _, fault := range faults {
				require.Contains(t, append(c.also, c.want, FaultControl), fault.Kind, err.Error())
			}
		})
	}
}

// Faults of commit LSN, transaction, topic and control records, on records as they are read.
func TestPlantedPositions(t *testing.T) {
	f := newFakes(t)
	f.send(t, f.client, kgo.TryCommit, published())
	for name, c := range map[string]struct {
		plant func(*Record)
		want  FaultKind
	}{
		"commit LSN of the transaction before": {func(r *Record) { r.Position.CommitLSN -= 1000 }, FaultLost},
		"commit LSN before the last change":    {func(r *Record) { r.Position.CommitLSN -= 400 }, FaultExtra},
		"commit LSN is the end":                {func(r *Record) { r.Position.CommitLSN += 100 }, FaultExtra},
		"another epoch":                        {func(r *Record) { r.Position.Epoch++; r.Position.CommitLSN -= 1000 }, FaultExtra},
		"another transaction id":               {func(r *Record) { r.TxID++ }, FaultPosition},
		"another topic":                        {func(r *Record) { r.Topic = "clinic.public.b" }, FaultMoved},
		"another table":                        {func(r *Record) { r.Table = "b" }, FaultMoved},
	} {
		records := f.read(t)
		c.plant(&records[slices.IndexFunc(records, func(r Record) bool { return r.Op == OpUpdate && r.Position.CommitLSN == 2400 })])
		var faults Faults
		require.ErrorAs(t, CheckExactlyOnce(committed(), records, checkOptions()), &faults, name)
		require.True(t, faults.Has(c.want), "%s: %v", name, faults)
	}
	for _, place := range []int64{-1000, 1000} {
		records := f.read(t)
		records[slices.IndexFunc(records, func(r Record) bool {
			return r.Op == OpTruncate && r.Partition == records[slices.IndexFunc(records, isUpdate)].Partition
		})].Offset += place
		var faults Faults
		require.ErrorAs(t, CheckExactlyOnce(committed(), records, checkOptions()), &faults)
		require.True(t, faults.Has(FaultControl), "a truncate is not where it belongs: %v", faults)
	}
}

// Since cuts both sides; nothing expected is no success.
func TestCheckOptions(t *testing.T) {
	f := newFakes(t)
	f.send(t, f.client, kgo.TryCommit, published())
	records := f.read(t)
	late := checkOptions()
	late.Since = 2400
	require.NoError(t, CheckExactlyOnce(committed(), records, late))
	require.NoError(t, CheckExactlyOnce(committed()[3:], records, late))
	require.Error(t, CheckExactlyOnce(committed()[4:], records, late))
	require.Error(t, CheckExactlyOnce(nil, nil, checkOptions()), "they prove nothing")
}

// murmur2 is Kafka's: the same partitions as the client library's own partitioner.
func TestHomePartition(t *testing.T) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for i := range 1000 {
		key := []byte(fmt.Sprintf("%0*d\xff", i%13, i))
		require.Equal(t, partitioner.Partition(&kgo.Record{Key: key}, 7), int(homePartition(key, 7)))
	}
}

// A commit LSN that another transaction took, not captured and committed while this one was open, is not this one's.
func TestCommitLSNOfAnother(t *testing.T) {
	other, mine := change(1, "other", OpCreate, nil, key(1)), change(2, "a", OpCreate, nil, key(1))
	mine.LSN = other.LSN + 1
	right := Record{
		Topic: "clinic.public.a", Partitions: 1, Op: OpCreate, Key: key(1), TxID: 102, Schema: "public", Table: "a",
		Position: Position{Epoch: 1, CommitLSN: 1500, Ordinal: 1},
	}
	wrong := right
	wrong.Position.CommitLSN = 1400
	require.NoError(t, CheckExactlyOnce([]Change{other, mine}, []Record{right}, checkOptions()))
	require.Error(t, CheckExactlyOnce([]Change{other, mine}, []Record{wrong}, checkOptions()))
}
