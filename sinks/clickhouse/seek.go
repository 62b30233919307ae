package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/ledger"
)

// seekPatience is how long nothing may come to a partition that seeks.
const seekPatience = 10 * time.Second

// seekOpen passes over a record, unless it is the one that is sought.
func (l *Loader) seekOpen(ctx context.Context, p *apply.Partition, rec *kgo.Record) (found bool, err error) {
	found, err = l.opens(ctx, p.Seek.Above, rec)
	if err != nil {
		return false, err
	}
	if found {
		l.o.Log.Info("going on from a newer copy", zap.String("topic", rec.Topic), zap.Int32("partition", p.ID), zap.Int64("offset", rec.Offset))
		p.Seek = nil
		return true, nil
	}
	p.Next = rec.Offset + 1
	return false, p.Seek.Passed(p.Next)
}

// recount makes the partition seek from an open record on whose generation is not newer than one that was opened before it: whoever
// wrote it has lost the count of generations, so that nobody could tell its rows from those of the former copies.
func (l *Loader) recount(p *apply.Partition, rec *kgo.Record, generation uint32) error {
	newest := p.Opened(rec.Offset)
	p.Seek = &apply.Seek{
		Above: newest, Until: p.Stable, From: rec.Offset, Since: time.Now(),
		Why: fmt.Errorf("%w: topic %s, partition %d, offset %d: generation %d of the table begins behind generation %d: capture has lost its state; what is in ClickHouse is safe. Try: "+cdc.ResnapshotAllCommand,
			ErrGap, rec.Topic, p.ID, rec.Offset, generation, newest),
	}
	return p.Seek.Passed(rec.Offset + 1)
}

// opens reports whether the record opens a generation above that one. A record that cannot be read does not.
func (l *Loader) opens(ctx context.Context, above uint32, rec *kgo.Record) (bool, error) {
	if rec.Attrs.IsControl() {
		return false, nil
	}
	id, key, err := avro.SplitFrame(rec.Key)
	if err != nil {
		return false, nil //nolint:nilerr // somebody else's
	}
	control, err := l.isControl(ctx, id)
	if err != nil && ctx.Err() != nil {
		return false, err
	}
	if err != nil || !control {
		return false, nil //nolint:nilerr // its schema is gone
	}
	c, err := avro.ReadControl(key)
	return err == nil && c.Kind == avro.ControlOpen && c.Generation > above, nil
}

// seekProgress reports whether a record of the progress topic is the one that is sought, and remembers it.
func (l *Loader) seekProgress(ctx context.Context, at *apply.Partition, offset int64, r *complete.Record) (found bool, err error) {
	seek := l.progress.seek
	switch {
	case seek.Renewed && (!r.Full || r.Epoch <= seek.Above):
		return false, seek.Passed(offset + 1)
	case !r.Full:
		return false, nil // without a full record not all constraints are known
	}
	if seek.Renewed { // before `complete` has the later epoch, by which it would be sought again
		here := ledger.Applied{TopicID: at.Topic.ID, Topic: at.Topic.Name, Partition: at.ID, Next: offset}
		if err := l.retry(ctx, "write applied offsets", func(ctx context.Context) error { return l.ledger.WriteApplied(ctx, here) }); err != nil {
			return false, err
		}
	}
	l.progress.seek = nil
	return true, nil
}

// seeks lists what is sought on the partitions of this loader.
func (l *Loader) seeks() (all []*apply.Seek) {
	if l.progress.seek != nil && l.progress.seek.Renewed {
		all = append(all, l.progress.seek)
	}
	for _, t := range l.topics {
		for _, p := range t.Parts {
			if p.Seek != nil {
				all = append(all, p.Seek)
			}
		}
	}
	return all
}

// hold keeps the other partitions from moving while one seeks: if nothing is found, everything is to be as it was.
func (l *Loader) hold() {
	if len(l.seeks()) == 0 {
		return
	}
	held := map[string][]int32{}
	for name, t := range l.topics {
		for id, p := range t.Parts {
			if p.Seek == nil && (!t.Progress || l.progress.seek == nil) {
				held[name] = append(held[name], id)
			}
		}
	}
	l.kc.PauseFetchPartitions(held)
	l.held = append(l.held, held)
}

// release lets them go on, once nothing is sought any more.
func (l *Loader) release() {
	if len(l.held) == 0 || len(l.seeks()) > 0 {
		return
	}
	for _, held := range l.held {
		l.kc.ResumeFetchPartitions(held)
	}
	l.held = nil
}

// patience stops where nothing comes that could be what is sought.
func (l *Loader) patience() error {
	l.release()
	for _, s := range l.seeks() {
		if time.Since(s.Since) > seekPatience {
			return s.Why
		}
	}
	return nil
}
