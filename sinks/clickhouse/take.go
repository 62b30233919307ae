package clickhouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// builder turns records of table topics into the rows of a batch.
//
// Where the records of a partition go is looked up once per schema and kept as a plan, until the topic's state changes:
// a row then costs no map operation. The fields of an ordinary row are appended while its envelope is read, although
// op, position and the lists of unchanged and inexact columns come after them; a row that turns out not to count is
// undone. So the bytes are read once.
type builder struct {
	o           *Options
	batch       *batch
	contracts   *contracts
	generations *generations
	quarantines *apply.Quarantines
	routes      map[*apply.Partition]*route
	env         avro.Envelope // of the record being taken
	controls    *controls
	passedOver  *passedOver
	writers     *writers
	recordBytes int64 // of a record, on average, when the client last had some
	log         *zap.Logger
}

// route is a partition's way into the batches.
type route struct {
	b         *builder
	partition *apply.Partition
	plan      plan
	// open is the block that has the fields of the record being taken, and nothing else of it yet; nil if none has.
	open *block.Block
	// tombstone is the offset after the last delete: a tombstone there says nothing that the delete has not said.
	tombstone int64
}

// plan says where the records of one contract go.
type plan struct {
	contract *contract
	keyID    int    // of the schema of rows' keys
	version  uint64 // of the topic's state
	// changes are where c, u and d go, newest generation first, reads where r goes; nil until the first one has come.
	changes, reads []target
	last           *target // where the last row went, and the next one is likely to
}

// target is a generation that gets records.
type target struct {
	generation *apply.Generation
	// cut is the generation's on the partition, below which a change does not count; the zero position before its end.
	cut   cdc.Position
	rows  *rows
	batch uint64 // the number of the batch that has the rows
}

// in gives the target's rows in a batch.
func (t *target) in(b *batch, topic *apply.Topic) *rows {
	if t.rows == nil || t.batch != b.number {
		t.rows, t.batch = b.table(topic, t.generation), b.number
	}
	return t.rows
}

// route gives the partition's route into the batches.
func (b *builder) route(p *apply.Partition) *route {
	r := b.routes[p]
	if r == nil {
		r = &route{b: b, partition: p}
		b.routes[p] = r
	}
	return r
}

// take takes one record of a table topic into the batch. What it cannot use quarantines the table; an error stops the
// loader.
func (r *route) take(ctx context.Context, s *span, rec *kgo.Record) error {
	p := r.partition
	if err := r.applyDue(ctx, rec.Offset); err != nil {
		return err
	}
	if p.Seek != nil {
		return r.pass(ctx, rec.Offset+1)
	}
	r.b.batch.take(s, rec.Offset+1)
	if rec.Attrs.IsControl() {
		return nil // a transaction's own marker: it counts as applied (rule 21)
	}
	r.b.contracts.written = rec.Timestamp
	err := r.dispatch(ctx, s, rec)
	if errors.Is(err, errAgain) {
		err = r.dispatch(ctx, s, rec)
	}
	return r.settled(ctx, err, rec.Offset)
}

// pass passes over a record of a partition that seeks, up to the next one.
func (r *route) pass(ctx context.Context, next int64) error {
	p := r.partition
	p.Next = next
	if err := r.applyDue(ctx, next); err != nil || p.Seek == nil {
		return err
	}
	return p.Seek.Passed(next)
}

// settled quarantines the table for an error that is its own, at an offset.
func (r *route) settled(ctx context.Context, err error, at int64) error {
	if err == nil || ctx.Err() != nil || isStop(err) || isUnsettled(err) {
		return err
	}
	p := r.partition
	r.b.quarantine(p.Topic, max(p.Newest, 1), fmt.Sprintf("partition %d, offset %d: %s", p.ID, at, reasonOf(err, p.Topic.Table)))
	return nil
}

func (r *route) dispatch(ctx context.Context, s *span, rec *kgo.Record) error {
	keyID, key, err := avro.SplitFrame(rec.Key)
	if err != nil {
		return fmt.Errorf("record key: %w", err)
	}
	if rec.Value == nil {
		if rec.Offset == r.tombstone && rec.Offset > 0 {
			return nil
		}
		return r.deleteAgain(ctx, s, rec, key)
	}
	id, payload, err := avro.SplitFrame(rec.Value)
	if err != nil {
		return err
	}
	if p := &r.plan; p.contract == nil || p.keyID != keyID || p.contract.id != id || p.version != r.partition.Topic.Version() {
		err := r.replan(ctx, keyID, id)
		if errors.Is(err, errSkipped) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return r.change(ctx, s, &block.Row{Envelope: &r.b.env, Key: key, Partition: r.partition.ID, Offset: rec.Offset}, payload)
}

// replan makes the plan for records of two schemas.
func (r *route) replan(ctx context.Context, keyID, id int) error {
	if r.skipped() {
		return errSkipped
	}
	c, err := r.contract(ctx, id)
	if err != nil {
		return err
	}
	r.plan = plan{contract: c, keyID: keyID, version: r.partition.Topic.Version()}
	return nil
}

// errSkipped says that a row's record does not count, since its table is quarantined: its schema is not asked for.
var errSkipped = errors.New("skipped")

// skipped reports whether the table is quarantined up to the newest generation that is opened here.
func (r *route) skipped() bool {
	t := r.partition.Topic
	return r.b.quarantines.Skips(t.Table, max(r.partition.Newest, t.Shown))
}

// change takes a c, u, d or r record.
func (r *route) change(ctx context.Context, s *span, row *block.Row, payload []byte) error {
	if err := r.read(payload); err != nil {
		return err
	}
	if err := r.controlled(ctx, row.Offset); err != nil {
		return err
	}
	err := r.apply(ctx, s, row)
	r.undo()
	return err
}

// read reads the envelope, and the row's fields into the block where they are likely to go.
func (r *route) read(payload []byte) error {
	e, reader := &r.b.env, r.plan.contract.reader
	if r.plan.last == nil {
		return reader.Envelope(payload, e, nil)
	}
	r.open = r.plan.last.in(r.b.batch, r.partition.Topic).current()
	err := reader.Envelope(payload, e, r.open)
	switch {
	case err != nil: // maybe it does not count: if it does, appending it fails again
		r.undo()
		return reader.Envelope(payload, e, nil)
	case e.After == nil:
		r.open = nil // nothing was appended
	case len(e.Unchanged) > 0 || len(e.Inexact) > 0:
		r.undo()
	}
	return nil
}

// undo takes back the fields of a record that did not become a row.
func (r *route) undo() {
	if r.open != nil {
		r.open.Undo()
		r.open = nil
	}
}

func (r *route) apply(ctx context.Context, s *span, row *block.Row) error {
	e, p, batch, find := row.Envelope, r.partition, r.b.batch, r.changes
	batch.commitTime = max(batch.commitTime, e.Meta.CommitTime)
	switch {
	case e.Gone:
		return r.missing(ctx, row)
	case e.Op == cdc.OpRead:
		find = r.reads
	case e.Op == cdc.OpDelete:
		r.tombstone = row.Offset + 1
		if p.Found(row.Key, e.Meta.Position) {
			batch.missingRow(p, string(row.Key), e.Meta.Position, false)
		}
	case e.Op != cdc.OpCreate && e.Op != cdc.OpUpdate:
		return fmt.Errorf("op %q under a row's key", string(e.Op))
	}
	targets, err := find(ctx)
	for i := range targets {
		if err == nil {
			err = r.applyTo(&targets[i], s, row)
		}
	}
	return err
}

// missing notes a row that was gone when capture read it again, if the record counts anywhere.
func (r *route) missing(ctx context.Context, row *block.Row) error {
	changes, err := r.changes(ctx)
	for i := range changes {
		if at := row.Envelope.Meta.Position; at.Compare(changes[i].cut) >= 0 {
			r.partition.MarkMissing(row.Key, at)
			r.b.batch.missingRow(r.partition, string(row.Key), at, true)
			break
		}
	}
	return err
}

// reads gives where a snapshot row goes: to its own generation only, unless that was superseded (rule 13).
func (r *route) reads(ctx context.Context) ([]target, error) {
	p, n := r.partition, r.b.env.Meta.Generation
	switch {
	case n < p.Newest:
		return nil, nil
	case n > p.Newest:
		return nil, cdc.Failed("a row of generation %d comes before its open record on partition %d", n, p.ID).Fix("%s", cdc.ResnapshotCommand(p.Topic.Table))
	case r.plan.reads != nil:
		return r.plan.reads, nil
	}
	g, err := r.b.generations.of(ctx, p.Topic, p.Topic.Generation(n), r.plan.contract)
	if err != nil {
		return nil, err
	}
	if r.plan.reads, r.plan.version = []target{}, p.Topic.Version(); g != nil {
		r.plan.reads = []target{{generation: g}}
	}
	return r.plan.reads, nil
}

// changes gives where c, u and d go.
func (r *route) changes(ctx context.Context) ([]target, error) {
	if r.plan.changes != nil {
		return r.plan.changes, nil
	}
	targets, err := r.b.targets(ctx, r.partition, r.plan.contract)
	if err == nil {
		r.plan.changes, r.plan.version = targets, r.partition.Topic.Version() // finding them may have changed it
	}
	return targets, err
}

// targets finds the storage of the generations that a change goes to. An older one whose columns are no longer those of
// the record is outgrown from here on: the table is not exact until the newest one is shown.
func (b *builder) targets(ctx context.Context, p *apply.Partition, c *contract) (targets []target, err error) {
	goals := apply.Goals(p)
	if len(goals) == 0 {
		return nil, cdc.Failed("a change comes before any generation was opened on partition %d", p.ID).Fix("%s", cdc.ResnapshotCommand(p.Topic.Table))
	}
	targets = []target{}
	for i, goal := range goals {
		g, err := b.generations.of(ctx, p.Topic, goal, c)
		switch {
		case errors.Is(err, table.ErrMisfit) && i > 0:
			b.outgrown(p.Topic, goal)
		case err != nil:
			return nil, err
		case g != nil:
			targets = append(targets, target{generation: g, cut: g.Ends[p.ID].Cut})
		}
	}
	return targets, nil
}

// outgrown says once that a generation gets no more changes.
func (b *builder) outgrown(t *apply.Topic, g *apply.Generation) {
	if !g.Outgrown {
		g.Outgrown = true
		t.Changed()
		b.log.Info("the table is copied again, and its former copy can take no more changes; the view does not change until the new copy is complete",
			zap.String("table", t.Table), zap.Uint32("generation", g.Number))
	}
}

// applyTo makes a record a row of a generation.
func (r *route) applyTo(t *target, s *span, row *block.Row) error {
	action := apply.OfChange(row.Envelope, t.cut)
	if row.Envelope.Op == cdc.OpRead { // the cut is that of its own snapshot
		action = apply.Append
	}
	if action == apply.Skip {
		return nil
	}
	rows := t.in(r.b.batch, r.partition.Topic)
	if action == apply.Complete {
		return r.applyUnchanged(rows, s, row)
	}
	b := rows.current()
	before := b.Bytes()
	var err error
	switch {
	case action == apply.AppendDelete:
		err = b.AppendDelete(row)
	case b == r.open:
		r.open = nil
		if err = b.Finish(row); err != nil {
			b.Undo()
		}
	default:
		err = b.Append(row, block.Ref{})
	}
	if err != nil {
		return err
	}
	r.plan.last = t
	r.b.batch.grew(rows, b.Bytes()-before)
	return nil
}

// applyUnchanged completes a row from its base, if the batch has it, or defers it until the batch is inserted (rule
// 17). Once the batch is full, and from then on, it defers those of the batch's own bases, too.
func (r *route) applyUnchanged(rows *rows, s *span, row *block.Row) error {
	key, err := rows.recordKey(row.Key)
	if err != nil {
		return err
	}
	p, g := r.partition, rows.generation
	w := apply.Waiting{Ended: g.Ended(p.ID), Missing: p.IsMissing(g, row.Key, row.Envelope.Meta.Position)}
	base, ok := rows.find(key)
	if ok && r.b.batch.full(r.b.o) { // a poll of small records could complete thousands of large rows
		rows.early = true
	}
	if !ok || rows.early {
		r.b.batch.grew(rows, rows.postpone(s, w, row, key))
		return nil
	}
	switch apply.OfBase(w, &row.Envelope.Meta, base, rows.cuts, g.Number, p.Newest) {
	case apply.Fits:
		err = r.b.batch.complete(rows, row, base)
	case apply.Drop:
	case apply.Outgrow:
		r.b.outgrown(p.Topic, g)
	case apply.Quarantine:
		r.b.quarantine(p.Topic, g.Number, lostBase(p.ID, p.Topic.Table))
	}
	return err
}

// deleteAgain deletes a tombstone's key: its `d` is not just before it, and may have been
// compacted away. One without our header is not ours.
func (r *route) deleteAgain(ctx context.Context, s *span, rec *kgo.Record, key []byte) error {
	if r.skipped() {
		return nil
	}
	if err := r.b.controls.upToFetched(ctx); err != nil { // it does not say what it depends on
		return err
	}
	if err := r.applyDue(ctx, rec.Offset); err != nil {
		return err
	}
	var packed []byte
	for _, h := range rec.Headers {
		if h.Key == cdc.PositionHeader {
			packed = h.Value
		}
	}
	at, err := cdc.UnpackPosition(packed)
	if err != nil {
		r.b.passedOver.note(shownAs(r.partition.Topic), rec, "a tombstone without a position")
		return nil
	}
	targets := r.plan.changes
	if targets == nil || r.plan.version != r.partition.Topic.Version() {
		if targets, err = r.b.targets(ctx, r.partition, nil); err != nil {
			return err
		}
	}
	r.b.env = avro.Envelope{Unchanged: r.b.env.Unchanged[:0], Reread: r.b.env.Reread[:0], Inexact: r.b.env.Inexact[:0], Op: cdc.OpDelete}
	r.b.env.Meta.Position = at
	row := block.Row{Envelope: &r.b.env, Key: key, Partition: r.partition.ID, Offset: rec.Offset}
	last := r.plan.last
	defer func() { r.plan.last = last }() // a target that was found without a contract is not the plan's
	for i := range targets {
		if err == nil {
			err = r.applyTo(&targets[i], s, &row)
		}
	}
	return err
}

// quarantine makes load skip the table's records up to a generation, and drops what the batch has of them.
func (b *builder) quarantine(t *apply.Topic, generation uint32, reason string) {
	if generation >= t.Shown && b.quarantines.Open(t.Table, generation, reason) {
		b.skip(t, generation, reason)
	}
}

// missingRow notes that a key's row is missing from a position on, or was up to it.
func (b *batch) missingRow(p *apply.Partition, key string, at cdc.Position, open bool) {
	b.missing = append(b.missing, ledger.MissingRow{Table: p.Topic.Table, TopicID: p.Topic.ID, Partition: p.ID, Key: key, Version: at, Open: open})
}

// learn takes what inserting a batch found out, and reports whether a table was quarantined.
func (b *builder) learn(done *batch) (quarantined bool) {
	for _, r := range done.sorted() {
		t, g := r.topic, r.generation
		if r.quarantine != nil {
			quarantined = true
			b.quarantines.Written(*r.quarantine)
			b.skip(t, g.Number, r.quarantine.Reason)
		}
		if r.outgrown {
			b.outgrown(t, g)
		}
		if r.replacedBy > 0 {
			g.Dropped = true
			t.Shown = max(t.Shown, r.replacedBy)
			t.Changed()
			b.batch.drop(t, g.Number)
		}
	}
	return quarantined
}

// skip drops what the batch has of a table that is quarantined up to a generation.
func (b *builder) skip(t *apply.Topic, generation uint32, reason string) {
	t.Outdated = true // the view may show a later generation already
	t.Changed()
	b.log.Error("table quarantined: its records are skipped until a new copy",
		zap.String("table", t.Table), zap.String("reason", reason), zap.Uint32("generation", generation))
	b.batch.drop(t, generation)
}
