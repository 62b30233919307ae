package clickhouse

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// batch is what has been taken from Kafka and is not applied yet: rows, what orders and hides them, and the offsets up
// to which all of that reaches. It has one owner at a time, the builder and then the inserter; nothing in it changes
// with the builder's state.
type batch struct {
	number        uint64 // different each time the batch is used
	records, rows int    // all, and those that become rows; bytes is roughly the memory that they take
	bytes         int64
	since         time.Time // of the first record
	spans         map[*apply.Partition]*span
	// tables has the rows by generation; those of the batch before last keep their blocks' memory, at most as much as a
	// batch may have.
	tables      map[*apply.Generation]*rows
	cuts        []ledger.Cut
	opens, ends []ledger.Mark
	missing     []ledger.MissingRow
	quarantines []ledger.Quarantine
	commitTime  int64 // that of the last change, microseconds since 1970; 0: none
	// finished ends once the inserter has done with the batch: err and what each of its rows found out are there.
	finished context.Context
	finish   context.CancelFunc
	err      error       // ends load; nothing of the batch counts as applied then
	held     []heldTable // the tables that the batch could not be applied of, and has forgotten
}

// span is a partition's part of a batch.
type span struct {
	partition *apply.Partition
	// next is the offset after the last record, applied the one up to which the partition counts as applied with the
	// batch, before the one without it.
	next, applied, before int64
	newest                uint32 // newest generation opened on the partition up to there
	// controls is how far control records are applied with the batch, controlsBefore without it.
	controls, controlsBefore apply.Controlled
	controlled               bool // the batch has a control record of the partition
}

// heldTable is a table that must wait, because of an error that may go away.
type heldTable struct {
	topic      *apply.Topic
	generation uint32 // the one whose rows failed
	err        error
}

func newBatch() *batch {
	return &batch{spans: map[*apply.Partition]*span{}, tables: map[*apply.Generation]*rows{}}
}

func (b *batch) empty() bool { return b.records == 0 }

// full reports whether the batch may take no more.
func (b *batch) full(o *Options) bool {
	return b.records >= o.BatchRows || b.rows >= o.BatchRows || b.bytes >= o.BatchBytes
}

// span gives a partition's part, making it if needed.
func (b *batch) span(p *apply.Partition) *span {
	s := b.spans[p]
	if s == nil {
		s = &span{partition: p}
		b.spans[p] = s
	}
	return s
}

// hasMore reports whether a partition of the batch has more to give.
func (b *batch) hasMore() bool {
	for p, s := range b.spans {
		if s.next > 0 && s.next < p.Stable {
			return true
		}
	}
	return false
}

// take notes that a record was taken into the batch.
func (b *batch) take(s *span, next int64) {
	if b.records == 0 {
		b.since = time.Now()
	}
	b.records++
	s.next, s.partition.Next = next, next
}

// takeControl notes that a control record was taken into the batch.
func (b *batch) takeControl(p *apply.Partition) {
	s := b.span(p)
	if b.records == 0 {
		b.since = time.Now()
	}
	b.records++
	s.controlled, s.next = true, max(s.next, p.Next)
}

// table gives the rows of a generation, which has its storage.
func (b *batch) table(topic *apply.Topic, g *apply.Generation) *rows {
	r := b.tables[g]
	if r == nil {
		r = &rows{generation: g}
		b.tables[g] = r
	}
	if !r.used {
		*r = rows{topic: topic, generation: g, table: g.Table, cuts: g.Cuts, spare: r.spare, used: true}
	}
	return r
}

// grew notes that a record became a row of that size, or waits for its base.
func (b *batch) grew(r *rows, bytes int64) {
	r.bytes += bytes
	b.bytes += bytes
	b.rows++
}

// sorted lists what the batch has of each table.
func (b *batch) sorted() (all []*rows) {
	for _, r := range b.tables {
		if r.used {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(x, y *rows) int {
		return cmp.Or(cmp.Compare(x.topic.Name, y.topic.Name), cmp.Compare(x.generation.Number, y.generation.Number))
	})
	return all
}

// applied lists how far the partitions of the batch are applied with it.
func (b *batch) applied() (list []ledger.Applied) {
	for p, s := range b.spans {
		if s.applied > s.before {
			list = append(list, ledger.Applied{TopicID: p.Topic.ID, Topic: p.Topic.Name, Partition: p.ID, Next: s.applied})
		}
		if s.controls != s.controlsBefore {
			sequence := int64(s.controls.Sequence) //nolint:gosec // generations are small
			list = append(list, ledger.Applied{TopicID: p.Topic.ID, Topic: p.Topic.Name, Partition: ledger.ControlsOf(p.ID), Next: sequence},
				ledger.Applied{TopicID: s.controls.Log, Topic: p.Topic.Name, Partition: ledger.ControlPlaceOf(p.ID), Next: s.controls.Next})
		}
	}
	return list
}

// quarantine drops what the batch has of a table's generations up to that of the rows: their records are skipped.
func (b *batch) quarantine(r *rows, reason string) {
	q := apply.OfLoad(r.topic.Table, r.generation.Number, reason)
	r.quarantine = &q
	b.quarantines = append(b.quarantines, q)
	b.drop(r.topic, r.generation.Number)
}

// drop forgets the rows of a table's generations up to one.
func (b *batch) drop(t *apply.Topic, upTo uint32) {
	for g, r := range b.tables {
		if r.used && r.topic == t && g.Number <= upTo {
			b.bytes -= r.bytes
			r.clear()
			r.skipped = true
		}
	}
}

// hold forgets all of a table because of an error with its rows: it must wait.
func (b *batch) hold(r *rows, err error) {
	b.held = append(b.held, heldTable{r.topic, r.generation.Number, err})
	b.forget(r.topic)
}

// forget drops all that the batch has of a topic, its offsets included, as if it had never been taken.
func (b *batch) forget(t *apply.Topic) {
	b.drop(t, math.MaxUint32)
	maps.DeleteFunc(b.spans, func(p *apply.Partition, _ *span) bool { return p.Topic == t })
	b.cuts = slices.DeleteFunc(b.cuts, func(c ledger.Cut) bool { return c.Topic == t.Name })
	ours := func(m ledger.Mark) bool { return m.TopicID == t.ID }
	b.opens, b.ends = slices.DeleteFunc(b.opens, ours), slices.DeleteFunc(b.ends, ours)
	b.missing = slices.DeleteFunc(b.missing, func(m ledger.MissingRow) bool { return m.TopicID == t.ID })
}

// close ends the batch's building: tables that it has no rows of keep no memory.
func (b *batch) close() {
	maps.DeleteFunc(b.tables, func(_ *apply.Generation, r *rows) bool { return !r.used })
}

// reset empties the batch after it was applied. Its blocks keep so many bytes of memory.
func (b *batch) reset(keep int64) {
	for _, r := range b.tables {
		r.clear()
		r.used = false
		r.spare = slices.DeleteFunc(r.spare, func(spare *block.Block) bool {
			keep -= spare.Kept()
			return keep < 0
		})
	}
	clear(b.spans)
	*b = batch{number: b.number, spans: b.spans, tables: b.tables, cuts: b.cuts[:0], opens: b.opens[:0], ends: b.ends[:0], missing: b.missing[:0]}
}

// rows are those of a batch that go into one storage table.
type rows struct {
	topic         *apply.Topic
	generation    *apply.Generation
	table         *table.Table
	cuts          apply.Cuts     // those up to the end of the batch
	used, skipped bool           // the batch has a row or a cut of the table; its rows were dropped
	blocks        []*block.Block // the last one grows
	spare         []*block.Block
	bytes         int64
	// The result of inserting them, for the builder's state: why they are quarantined, or nil; that their generation
	// gets no more changes; that its storage is gone, as the view shows this newer generation.
	quarantine *ledger.Quarantine
	outgrown   bool
	replacedBy uint32
	// latest finds the newest row of a key in the batch; nil until a record needs a base. It knows all rows before the
	// indexed one.
	latest                     map[string]block.Ref
	indexedBlocks, indexedRows int
	deferred                   []*deferred
	early                      bool         // rows of the batch are bases of deferred records
	keys                       *block.Block // one row: the key being looked up
	scratch                    []byte
}

// current is the block to which the next row goes.
func (r *rows) current() *block.Block {
	if n := len(r.blocks); n > 0 && !r.blocks[n-1].Full() {
		return r.blocks[n-1]
	}
	var b *block.Block
	if n := len(r.spare); n > 0 {
		b, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		b = block.New(r.table.Contract)
	}
	r.blocks = append(r.blocks, b)
	return b
}

// clear forgets the rows and keeps the blocks' memory.
func (r *rows) clear() {
	for _, b := range r.blocks {
		b.Reset()
		r.spare = append(r.spare, b)
	}
	clear(r.blocks)
	r.blocks = r.blocks[:0]
	r.bytes, r.latest, r.deferred, r.early = 0, nil, nil, false
	r.indexedBlocks, r.indexedRows = 0, 0
}

func (r *rows) count() (n int) {
	for _, b := range r.blocks {
		n += b.Rows()
	}
	return n
}

// deferred is a record that waits for its base. It owns its bytes.
type deferred struct {
	apply.Waiting
	span *span
	key  string
	env  avro.Envelope
	row  block.Row
}

// recordKey gives the sorting key's bytes of a record key.
func (r *rows) recordKey(key []byte) ([]byte, error) {
	if r.keys == nil {
		r.keys = block.New(r.table.Contract)
	}
	r.keys.Reset()
	if err := r.keys.AppendDelete(&block.Row{Envelope: &avro.Envelope{}, Key: key}); err != nil {
		return nil, err
	}
	r.scratch = r.keys.AppendSortingKey(r.scratch[:0], 0)
	return r.scratch, nil
}

// find gives the newest row of a key in the batch. The index is made when the first record needs it, and kept up from
// there.
func (r *rows) find(key []byte) (block.Ref, bool) {
	if r.latest == nil {
		r.latest = map[string]block.Ref{}
	}
	var k []byte
	for i := r.indexedBlocks; i < len(r.blocks); i++ {
		b := r.blocks[i]
		for ; r.indexedRows < b.Rows(); r.indexedRows++ {
			k = b.AppendSortingKey(k[:0], r.indexedRows)
			at := block.Ref{Block: b, Row: r.indexedRows}
			if old, ok := r.latest[string(k)]; !ok || old.Version().Compare(at.Version()) <= 0 {
				r.latest[string(k)] = at
			}
		}
		if i < len(r.blocks)-1 {
			r.indexedBlocks, r.indexedRows = i+1, 0
		}
	}
	at, ok := r.latest[string(key)]
	return at, ok
}

// postpone copies a record, which aliases the consumer's memory, and says how many bytes that takes.
func (r *rows) postpone(s *span, w apply.Waiting, row *block.Row, key []byte) int64 {
	e := row.Envelope
	d := &deferred{Waiting: w, span: s, key: string(key)}
	d.env = avro.Envelope{After: bytes.Clone(e.After), Meta: e.Meta, Op: e.Op, Unchanged: slices.Clone(e.Unchanged)}
	for _, v := range e.Inexact {
		d.env.Inexact = append(d.env.Inexact, avro.InexactValue{Column: v.Column, Text: bytes.Clone(v.Text)})
	}
	d.row = block.Row{Key: bytes.Clone(row.Key), Partition: row.Partition, Offset: row.Offset}
	r.deferred = append(r.deferred, d)
	return int64(len(d.env.After)+len(d.row.Key)+len(key)) + deferredOverhead
}

const deferredOverhead = 256

// cut adds a TRUNCATE to a generation and to the batch.
func (b *batch) cut(topic *apply.Topic, g *apply.Generation, leaf uint32, at cdc.Position) {
	g.Cuts = g.Cuts.With(leaf, at)
	b.table(topic, g).cuts = g.Cuts
	b.cuts = append(b.cuts, ledger.Cut{Topic: topic.Name, Generation: g.Number, Leaf: leaf, Version: at})
}
