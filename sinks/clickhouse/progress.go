package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// progress is this loader's part in the progress topic. It is guarded by Loader.mu.
type progress struct {
	tracker *complete.Tracker // a zero one while this loader does not have the topic's partition
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
func (g *progress) load(ctx context.Context, books *ledger.Ledger, t *apply.Topic, facts complete.Facts) error {
	g.forget()
	for id, p := range t.Parts {
		if p.Applied == 0 { // so that a later session knows which topic this was, however early this one ends
			if err := ledger.Write(ctx, books, ledger.Applied{TopicID: t.ID, Topic: t.Name, Partition: id}); err != nil {
				return err
			}
		}
	}
	points, err := books.Points(ctx)
	if err != nil {
		return err
	}
	g.tracker = complete.NewTracker(facts, points)
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
	l.builder.controls.said(r)
	for _, q := range l.progress.tracker.Take(rec.Offset, r) {
		l.quarantines.Set(q)
	}
	return nil
}

// seekProgress reports whether a record of the progress topic ends the seeking: a full one, and of a later epoch if the
// topic was made again.
func (l *Loader) seekProgress(ctx context.Context, at *apply.Partition, offset int64, r *complete.Record) (found bool, err error) {
	switch seek := at.Seek; {
	case seek.Renewed && (!r.Full || r.Epoch <= seek.Above):
		return false, seek.Passed(offset + 1)
	case !r.Full:
		return false, nil // without a full record not all constraints are known
	case seek.Renewed: // before `complete` has the later epoch, by which it would be sought again
		here := ledger.Applied{TopicID: at.Topic.ID, Topic: at.Topic.Name, Partition: at.ID, Next: offset}
		if err := l.retry(ctx, "write applied offsets", func(ctx context.Context) error { return ledger.Write(ctx, l.db.Ledger, here) }); err != nil {
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

// facts implements complete.Facts; it repeats each question until there is an answer.
type facts struct {
	o           *Options
	topics      map[string]*apply.Topic // the loader's
	quarantines *apply.Quarantines
	ledger      *ledger.Ledger
	group       *consume.Group
	watch       *consume.Watch // of topics that were made again
	retry       retry
}

// retried gives the answer to a question about topics once there is one.
func retried[T any](ctx context.Context, f facts, what string, topics []string, ask func(context.Context, []string) (T, error)) (answer T, err error) {
	err = f.retry(ctx, what, func(ctx context.Context) (err error) {
		answer, err = ask(ctx, topics)
		return err
	})
	return answer, err
}

func (f facts) AppliedHere(topic string, partition int32) (next int64, ok bool) {
	if t := f.topics[topic]; t != nil {
		if p := t.Parts[partition]; p != nil {
			return p.Applied, true
		}
		if p := t.Parts[partition-ledger.ControlsOf(0)]; p != nil {
			return int64(p.AppliedControls.Sequence), true //nolint:gosec // generations are small
		}
	}
	return 0, false
}

// TopicOf: a schema's name may hold a dot only if it is known from a topic.
func (f facts) TopicOf(table string) string {
	for name, t := range f.topics {
		if t.Table == table {
			return name
		}
	}
	schema, rel, _ := strings.Cut(table, ".")
	return schemas.TopicName(f.o.Prefix, schema, rel)
}

func (f facts) Excluded(table string) bool {
	return f.quarantines.Rows[apply.QuarantineKey{Table: table, Leg: ledger.LegCapture}].State == ledger.StateExcluded
}

func (f facts) Applied(ctx context.Context, topics []string) ([]ledger.Applied, error) {
	return retried(ctx, f, "read applied offsets", topics, f.ledger.Applied)
}

func (f facts) Opens(ctx context.Context, topics []string) ([]ledger.Mark, error) {
	return retried(ctx, f, "read opened generations", topics, f.ledger.Opens)
}

func (f facts) WritePoints(ctx context.Context, points []ledger.Point) error {
	return f.retry(ctx, "write what is complete", func(ctx context.Context) error { return ledger.Write(ctx, f.ledger, points...) })
}

func (f facts) Ends(ctx context.Context, topics []string) (map[string]complete.TopicEnds, error) {
	listed, err := retried(ctx, f, readEnds, topics, func(ctx context.Context, topics []string) (kadm.ListedOffsets, error) {
		return f.group.Admin.ListEndOffsets(ctx, topics...)
	})
	out := map[string]complete.TopicEnds{}
	for topic, partitions := range listed {
		ends := complete.TopicEnds{Ends: map[int32]int64{}}
		if first, ok := partitions[0]; ok && first.Err == nil {
			ends.Partitions = len(partitions)
		}
		for id, end := range partitions {
			if end.Err == nil {
				ends.Ends[id] = end.Offset
			}
		}
		out[topic] = ends
	}
	return out, err
}

// TopicIDs asks now: the client's own metadata may be a little old. A topic of this loader that was deleted and made
// again has no id until it is begun again.
func (f facts) TopicIDs(ctx context.Context, topics []string) (ids map[string]uuid.UUID, missing map[string]bool, err error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := retried(ctx, f, readMetadata, topics, func(ctx context.Context, _ []string) (*kmsg.MetadataResponse, error) {
		return req.RequestWith(ctx, f.group.Client)
	})
	if err != nil {
		return nil, nil, err
	}
	ids, missing = map[string]uuid.UUID{}, map[string]bool{}
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case t.Topic == nil: // not asked for
		case err == nil:
			ids[*t.Topic] = t.TopicID
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			missing[*t.Topic] = true
		}
	}
	for topic, id := range ids {
		if t := f.topics[topic]; t != nil && len(t.Parts) > 0 && t.ID != id {
			delete(ids, topic)
			f.watch.Now() // it is begun again
		}
	}
	return ids, missing, nil
}
