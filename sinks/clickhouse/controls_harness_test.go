package clickhouse

import (
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// controlKey is where a record that stands for a control has it, until its place is known.
type controlKey struct{}

// produceRows produces what is of tables' topics, and puts the controls between them into the control topic.
func (w *world) produceRows(records []*kgo.Record, commit bool) {
	w.t.Helper()
	rows := slices.DeleteFunc(slices.Clone(records), func(r *kgo.Record) bool { return r.Topic == schemas.ControlTopic(w.prefix) })
	for _, r := range w.kc.ProduceSync(w.ctx, rows...) {
		require.NoError(w.t, r.Err)
	}
	for _, r := range records {
		switch {
		case !commit:
		case r.Topic == schemas.ControlTopic(w.prefix):
			c, _ := r.Context.Value(controlKey{}).(cdc.Control)
			w.place(c, nil)
		default:
			w.see(r)
		}
	}
}

// place puts a control into the control topic, after what was seen of its table's topic, and after so much more in some
// partitions: then the progress topic does not say so yet.
func (w *world) place(c cdc.Control, more map[int32]int64) {
	topics, err := w.admin.ListTopics(w.ctx, c.Topic.Name)
	require.NoError(w.t, err)
	r := cdc.ControlRecord{
		Format: cdc.StateFormat, Kind: c.Kind, Topic: c.Topic.Name, TopicID: uuid.UUID(topics[c.Topic.Name].ID).String(), Schema: c.Schema, Table: c.Table,
		Generation: c.Generation, Number: c.Number, Leaf: c.Leaf, Epoch: c.Position.Epoch, CommitLSN: c.Position.CommitLSN, Ordinal: c.Position.Ordinal,
		TimeUS: c.CommitTime, ValueSchema: c.ValueSchema, Offsets: map[int32]int64{},
	}
	for partition := range c.Topic.Partitions {
		r.Offsets[partition] = w.offsets[c.Topic.Name][strconv.Itoa(int(partition))] + more[partition]
	}
	w.putControl(r)
	if more != nil {
		return
	}
	name := c.Schema + "." + c.Table
	said, ok := w.tables[name]
	if !ok {
		said = cdc.TableProgress{Phase: cdc.TableStreaming, Generation: c.Generation}
	}
	said.Controls, said.Topic, said.Partitions = c.Number, c.Topic.Name, c.Topic.Partitions
	w.tables[name] = said
}

func (w *world) putControl(r cdc.ControlRecord) {
	w.producersMu.Lock()
	defer w.producersMu.Unlock()
	r.Offset = int64(len(w.controls))
	w.controls = append(w.controls, r)
}

// lag ends the table's copy, before one partition has come there: the record that reach produces.
func (w *world) lag(t *sourceTable, cut cdc.Position, partition int32) {
	w.t.Helper()
	x := w.begin().end(t, cut)
	w.place(x.chunk.Controls[0], map[int32]int64{partition: 2}) // its transaction's marker comes before
}

// reach produces a record that changes nothing: a row of a former copy.
func (w *world) reach(t *sourceTable, partition int32, values ...string) {
	w.t.Helper()
	x := w.begin()
	m := x.metaAt(t, x.snapshot())
	m.Generation, m.Controls = t.gen-1, 1
	require.NoError(w.t, t.enc.Append(w.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpRead, New: tuple(values...)}))
	records := x.records()
	records[0].Partition = partition
	w.produce(records, true)
}

// Controls implements cdc.Controls.
func (w *world) Controls(_ context.Context, from int64, _ bool) (cdc.ControlLog, error) {
	w.producersMu.Lock()
	defer w.producersMu.Unlock()
	log := cdc.ControlLog{ID: [16]byte{1, w.controlLog}, Next: int64(len(w.controls)), Open: w.controlsOpen}
	log.Records = slices.Clone(w.controls[min(from, log.Next):])
	return log, nil
}

// dropControls deletes the control topic and makes it again.
func (w *world) dropControls() {
	w.producersMu.Lock()
	defer w.producersMu.Unlock()
	w.controls, w.controlLog = nil, w.controlLog+1
}

// leaveOpen says whether a transaction is open on the control topic.
func (w *world) leaveOpen(is bool) {
	w.producersMu.Lock()
	defer w.producersMu.Unlock()
	w.controlsOpen = is
}
