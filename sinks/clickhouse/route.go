package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// positionHeader is the header of a tombstone: the packed position of its delete (rule 10).
const positionHeader = "dirtbike.position"

// take takes one record of a table topic into the batch. What it cannot use quarantines the table; an error stops the loader.
func (l *Loader) take(ctx context.Context, p *apply.Partition, rec *kgo.Record) error {
	if p.Seek != nil {
		found, err := consume.SkipToNewerOpen(ctx, p, rec, l.isControl)
		if err != nil || !found {
			return err
		}
		l.o.Log.Info("going on from a newer copy", zap.String("topic", rec.Topic), zap.Int32("partition", p.ID), zap.Int64("offset", rec.Offset))
	}
	l.batch.take(p, rec.Offset+1)
	if rec.Attrs.IsControl() {
		return nil // a transaction's own marker: it counts as applied (rule 21)
	}
	err := l.dispatch(ctx, p, rec)
	if err == nil || ctx.Err() != nil || isStop(err) {
		return err
	}
	l.quarantine(p.Topic, max(p.Newest, 1), fmt.Sprintf("partition %d, offset %d: %s", p.ID, rec.Offset, withoutValues(err)))
	return nil
}

func (l *Loader) dispatch(ctx context.Context, p *apply.Partition, rec *kgo.Record) error {
	keyID, key, err := avro.SplitFrame(rec.Key)
	if err != nil {
		return fmt.Errorf("record key: %w", err)
	}
	control, err := l.isControl(ctx, keyID)
	if err != nil {
		return err
	}
	if rec.Value == nil {
		return l.tombstone(ctx, p, rec, key)
	}
	id, payload, err := avro.SplitFrame(rec.Value)
	if err != nil {
		return err
	}
	w, err := l.writer(ctx, id)
	if err != nil {
		return err
	}
	if err := w.reader.Envelope(payload, &l.env); err != nil {
		return err
	}
	if control {
		return l.control(ctx, p, rec, key, w, id)
	}
	r := block.Row{Envelope: &l.env, Key: key, Partition: p.ID, Offset: rec.Offset}
	return l.change(ctx, p, &r, w, id)
}

// control handles truncate, open and end (rules 11 and 13).
func (l *Loader) control(ctx context.Context, p *apply.Partition, rec *kgo.Record, key []byte, w *writer, schemaID int) error {
	c, err := avro.ReadControl(key)
	if err != nil {
		return err
	}
	at := l.env.Meta.Position
	switch c.Kind {
	case avro.ControlTruncate:
		return l.truncate(ctx, p, c.Leaf, at, w, schemaID)
	case avro.ControlOpen:
		if c.Generation <= p.Opened(rec.Offset) {
			return consume.SeekAfterLostCount(p, rec, c.Generation)
		}
		p.Topic.Learn(p.ID, c.Generation, ledger.KindOpen, apply.End{Offset: rec.Offset, Cut: at})
		l.mark(p, rec, c.Generation, ledger.KindOpen, at)
		if c.Generation < p.Newest || c.Generation <= p.Topic.Shown {
			return nil // a replay
		}
		_, err := l.store(ctx, p.Topic, c.Generation, w, schemaID)
		return err
	case avro.ControlEnd:
		p.Topic.Learn(p.ID, c.Generation, ledger.KindEnd, apply.End{Offset: rec.Offset, Cut: at})
		l.mark(p, rec, c.Generation, ledger.KindEnd, at)
		return nil
	}
	return fmt.Errorf("unknown control record %q", c.Kind)
}

func (l *Loader) mark(p *apply.Partition, rec *kgo.Record, generation uint32, kind string, at cdc.Position) {
	l.batch.marks = append(l.batch.marks, ledger.Mark{
		TopicID: p.Topic.ID, Topic: p.Topic.Name, Partition: p.ID, Generation: generation, Kind: kind, Offset: rec.Offset, Version: at,
	})
	p.Topic.Unsettled = true
}

// store gives the storage of a generation, nil if it was dropped or its records are skipped. A tombstone has no schema (w is
// nil): the storage tells.
func (l *Loader) store(ctx context.Context, t *apply.Topic, generation uint32, w *writer, schemaID int) (*storage, error) {
	g := t.Generation(generation)
	if g.Dropped || generation < t.Shown || l.quarantines.Skips(t.Table, generation) {
		return nil, nil
	}
	if l.stores[g] != nil && (w == nil || l.stores[g].schemaID == schemaID) {
		return l.stores[g], nil
	}
	if w == nil {
		err := l.retry(ctx, "read how the storage is", func(ctx context.Context) error { return l.recoverStorage(ctx, t, g) })
		return l.stores[g], err
	}
	if l.stores[g] == nil && generation < t.NewestGeneration() { // its columns may be others than this record's
		err := l.retry(ctx, "read how the storage is", func(ctx context.Context) error { return l.recoverStorage(ctx, t, g) })
		if err != nil && !errors.Is(err, errNoStorage) {
			return nil, err
		}
	}
	return l.ensureStorage(ctx, g, t, w.table, schemaID)
}

// targets calls f for each generation that a change goes to: the newest one opened on the partition, the one that the view
// shows, and those between that have ended here, because another loader, or this one behind the batch, may show them; unless the
// change lies below that generation's cut. One of these older ones whose columns are no longer those of the record, or that lacks a
// row which a record builds upon, is stale from here on: the table is not exact until the newest one is shown.
func (l *Loader) targets(ctx context.Context, p *apply.Partition, at cdc.Position, w *writer, schemaID int, f func(*apply.Generation, *storage) error) error {
	if p.Newest == 0 {
		return fmt.Errorf("a change comes before any generation was opened on partition %d. Try: "+cdc.ResnapshotCommand(p.Topic.Table), p.ID)
	}
	shown := p.Topic.Shown
	newest := max(p.Newest, shown) // shown: it was opened on every partition
	for n := newest; n >= max(shown, 1); n-- {
		g := p.Topic.Generation(n)
		if n != newest && (n != shown && !g.Ended(p.ID) || g.Outgrown) || g.Below(p.ID, at) {
			continue
		}
		s, err := l.store(ctx, p.Topic, n, w, schemaID)
		if errors.Is(err, errMisfit) && n < newest {
			l.outgrown(p.Topic, g)
			continue
		}
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		if err := f(g, s); err != nil {
			return err
		}
	}
	return nil
}

// outgrown says once that a generation gets no more changes.
func (l *Loader) outgrown(t *apply.Topic, g *apply.Generation) {
	if !g.Outgrown {
		g.Outgrown = true
		l.o.Log.Info("the table is copied again, and its former copy can take no more changes; the view stands still until the new copy is complete", zap.String("table", t.Table), zap.Uint32("generation", g.Number))
	}
}

func (l *Loader) truncate(ctx context.Context, p *apply.Partition, leaf uint32, at cdc.Position, w *writer, schemaID int) error {
	if leaf == 0 {
		l.goneBelow(p, at)
	}
	return l.targets(ctx, p, at, w, schemaID, func(g *apply.Generation, s *storage) error {
		s.cut(leaf, at)
		l.batch.cuts = append(l.batch.cuts, ledger.Cut{Topic: p.Topic.Name, Generation: g.Number, Leaf: leaf, Version: at})
		return nil
	})
}

// change handles c, u, d and r records.
func (l *Loader) change(ctx context.Context, p *apply.Partition, r *block.Row, w *writer, schemaID int) error {
	l.batch.commitTime = max(l.batch.commitTime, r.Envelope.Meta.CommitTime)
	if r.Envelope.Gone {
		wanted := false
		err := l.targets(ctx, p, r.Envelope.Meta.Position, w, schemaID, func(*apply.Generation, *storage) error { wanted = true; return nil })
		if wanted {
			l.rowGone(p, r.Key, r.Envelope.Meta.Position)
		}
		return err
	}
	switch r.Envelope.Op {
	case cdc.OpRead:
		return l.read(ctx, p, r, w, schemaID)
	case cdc.OpDelete:
		l.rowDeleted(p, r.Key, r.Envelope.Meta.Position)
		fallthrough
	case cdc.OpCreate, cdc.OpUpdate:
		return l.targets(ctx, p, r.Envelope.Meta.Position, w, schemaID, func(g *apply.Generation, s *storage) error { return l.apply(p, g, s, r) })
	case cdc.OpTruncate, cdc.OpMarker:
	}
	return fmt.Errorf("op %q under a row's key", string(r.Envelope.Op))
}

// read handles a snapshot row: it goes to its own generation only, and is dropped if that was superseded (rule 13).
func (l *Loader) read(ctx context.Context, p *apply.Partition, r *block.Row, w *writer, schemaID int) error {
	n := r.Envelope.Meta.Generation
	switch {
	case n < p.Newest:
		return nil
	case n > p.Newest:
		return fmt.Errorf("a row of generation %d comes before its open record on partition %d. Try: "+cdc.ResnapshotCommand(p.Topic.Table), n, p.ID)
	}
	s, err := l.store(ctx, p.Topic, n, w, schemaID)
	if err != nil || s == nil {
		return err
	}
	return l.apply(p, p.Topic.Generation(n), s, r)
}

// apply appends a row to a storage's batch.
func (l *Loader) apply(p *apply.Partition, g *apply.Generation, s *storage, r *block.Row) error {
	if len(r.Envelope.Unchanged) > 0 {
		return l.applyUnchanged(p, g, s, r)
	}
	seg := s.current()
	before := seg.Bytes()
	var err error
	if r.Envelope.Op == cdc.OpDelete {
		err = seg.AppendDelete(r)
	} else {
		err = seg.Append(r, block.Ref{})
	}
	if err != nil {
		return err
	}
	l.batch.grew(s, seg.Bytes()-before)
	return nil
}

// tombstone deletes the key again: its `d` may have been compacted away. One without our header is nobody's of ours.
func (l *Loader) tombstone(ctx context.Context, p *apply.Partition, rec *kgo.Record, key []byte) error {
	at, ok, err := tombstonePosition(rec)
	if err != nil || !ok {
		l.o.Log.Warn("tombstone without a position skipped", zap.String("topic", rec.Topic), zap.Int64("offset", rec.Offset), zap.Error(err))
		return nil
	}
	l.env = avro.Envelope{Unchanged: l.env.Unchanged[:0], Reread: l.env.Reread[:0], Inexact: l.env.Inexact[:0], Op: cdc.OpDelete}
	l.env.Meta.Position = at
	r := block.Row{Envelope: &l.env, Key: key, Partition: p.ID, Offset: rec.Offset}
	return l.targets(ctx, p, at, nil, 0, func(g *apply.Generation, s *storage) error { return l.apply(p, g, s, &r) })
}

func tombstonePosition(rec *kgo.Record) (at cdc.Position, ok bool, err error) {
	for _, h := range rec.Headers {
		if h.Key == positionHeader && !bytes.Equal(h.Value, nil) {
			at, err = cdc.UnpackPosition(h.Value)
			return at, err == nil, err
		}
	}
	return cdc.Position{}, false, nil
}

// quarantine makes load skip the table's records up to a generation, and drops what the batch holds of them.
func (l *Loader) quarantine(t *apply.Topic, generation uint32, reason string) {
	if generation < t.Shown || !l.quarantines.Open(t.Table, generation, reason) {
		return
	}
	t.Unsettled = true // the view may show a later generation already
	l.o.Log.Error("table quarantined: its records are skipped until a new copy", zap.String("table", t.Table), zap.String("reason", reason), zap.Uint32("generation", generation))
	for number, g := range t.Generations {
		if s := l.stores[g]; s != nil && number <= generation {
			l.batch.drop(s)
		}
	}
}
