package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/ledger"
)

// progress is this loader's part in the progress topic. It is guarded by Loader.mu.
type progress struct {
	// tracker is a zero one while this loader does not have the topic's partition.
	tracker *complete.Tracker
	// paused says that the client has paused the partition, which outlives the assignment: it stays so until it is
	// resumed.
	paused bool
}

// maxPending bounds the progress records that wait: beyond, the partition is paused.
const maxPending = 20_000

// forget ends the ownership of the partition.
func (g *progress) forget() { g.tracker = &complete.Tracker{} }

// appliedWith is how far a partition is applied with the batch that ends at next: a progress record counts once
// everything is complete up to it, and nothing from where the partition seeks.
func (g *progress) appliedWith(p *apply.Partition, next int64) int64 {
	if p.Topic.Progress {
		return g.tracker.AppliedUpTo(next)
	}
	if p.Seek != nil { // since the batch began
		return min(next, p.Seek.From)
	}
	return next
}

// load begins with what `complete` has.
func (g *progress) load(ctx context.Context, books *ledger.Ledger, t *apply.Topic, own ownState) error {
	g.forget()
	for id, p := range t.Parts {
		if p.Applied == 0 { // so that a later session knows which topic this was, however early this one ends
			if err := books.WriteApplied(ctx, ledger.Applied{TopicID: t.ID, Topic: t.Name, Partition: id}); err != nil {
				return err
			}
		}
	}
	points, err := books.Points(ctx)
	if err != nil {
		return err
	}
	g.tracker = complete.NewTracker(own, points)
	for _, p := range t.Parts {
		if p.Seek != nil {
			p.Seek.Above = g.tracker.Epoch()
		}
	}
	return nil
}

// takeProgress takes one record of the progress topic into the batch.
func (l *Loader) takeProgress(ctx context.Context, s *span, rec *kgo.Record) error {
	at := s.partition
	r := &complete.Record{} // of a transaction's own marker
	if !rec.Attrs.IsControl() {
		var err error
		if r, err = complete.ParseRecord(l.o.Prefix, rec.Value); err != nil {
			return fmt.Errorf("progress topic, offset %d: %w", rec.Offset, err)
		}
	}
	if at.Seek != nil {
		if found, err := l.seekProgress(ctx, at, rec.Offset, r); err != nil || !found {
			at.Next = rec.Offset + 1
			return err
		}
	}
	l.builder.batch.take(s, rec.Offset+1)
	if rec.Attrs.IsControl() {
		return nil
	}
	for _, q := range l.progress.tracker.Take(rec.Offset, r) {
		l.quarantines.Set(apply.QuarantineKey{Table: q.Table, Leg: q.Leg}, q)
	}
	return nil
}

// seekProgress reports whether a record of the progress topic is the one that is sought, a full one, of a later epoch
// if the topic is another one of that name; then the partition does not seek any more.
func (l *Loader) seekProgress(ctx context.Context, at *apply.Partition, offset int64, r *complete.Record) (found bool, err error) {
	switch seek := at.Seek; {
	case seek.Renewed && (!r.Full || r.Epoch <= seek.Above):
		return false, seek.Passed(offset + 1)
	case !r.Full:
		return false, nil // without a full record not all constraints are known
	case seek.Renewed: // before `complete` has the later epoch, by which it would be sought again
		here := ledger.Applied{TopicID: at.Topic.ID, Topic: at.Topic.Name, Partition: at.ID, Next: offset}
		if err := l.retry(ctx, "write applied offsets", func(ctx context.Context) error { return l.ledger.WriteApplied(ctx, here) }); err != nil {
			return false, err
		}
	}
	at.Seek = nil
	return true, nil
}

// throttle pauses the progress partition while too many records wait.
func (g *progress) throttle(kc *kgo.Client, topic string) {
	switch {
	case !g.paused && g.tracker.Pending() >= maxPending:
		kc.PauseFetchTopics(topic)
		g.paused = true
	case g.paused && g.tracker.Pending() < maxPending/2:
		kc.ResumeFetchTopics(topic)
		g.paused = false
	}
}

// ownState is what this loader knows of topics and tables without asking anyone.
type ownState struct {
	prefix      string
	topics      map[string]*apply.Topic
	quarantines *apply.Quarantines
}

// Applied implements complete.Own.
func (o ownState) Applied(topic string, partition int32) (next int64, ok bool) {
	if t := o.topics[topic]; t != nil {
		if p := t.Parts[partition]; p != nil {
			return p.Applied, true
		}
	}
	return 0, false
}

// TopicOf implements complete.Own; a schema's name may hold a dot only if it is known from a topic.
func (o ownState) TopicOf(table string) string {
	for name, t := range o.topics {
		if t.Table == table {
			return name
		}
	}
	schema, rel, _ := strings.Cut(table, ".")
	return schemas.TopicName(o.prefix, schema, rel)
}

// Excluded implements complete.Own.
func (o ownState) Excluded(table string) bool {
	return o.quarantines.Rows[apply.QuarantineKey{Table: table, Leg: ledger.LegCapture}].State == ledger.StateExcluded
}
