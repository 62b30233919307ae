package complete

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"dirtbike/sinks/clickhouse/ledger"
)

// Facts are the questions that Advance asks, and what it writes. Each is retried by the one that implements it, so that
// an error ends the loader or says that ctx has ended.
type Facts interface {
	// TopicIDs gives the ids that topics have in Kafka now; missing are those that Kafka does not know. A topic that
	// has no id for any other reason is in neither.
	TopicIDs(ctx context.Context, topics []string) (ids map[string]uuid.UUID, missing map[string]bool, err error)
	// Ends gives the ends of all partitions of topics, without those that Kafka could not say.
	Ends(ctx context.Context, topics []string) (map[string]TopicEnds, error)
	// Applied, Opens and WritePoints are the ledger's.
	Applied(ctx context.Context, topics []string) ([]ledger.Applied, error)
	Opens(ctx context.Context, topics []string) ([]ledger.Mark, error)
	WritePoints(ctx context.Context, points []ledger.Point) error
}

// TopicEnds are the high watermarks of a topic's partitions.
type TopicEnds struct {
	// Partitions counts those that the topic has; 0 means that Kafka did not say.
	Partitions int
	// Ends by partition; one that is missing is not known.
	Ends map[int32]int64
}

const (
	// PollInterval is how long Advance waits between two queries of what is applied.
	PollInterval = 20 * time.Millisecond
	// checkInterval is how far apart the dearer questions are: ids of all awaited topics, and constraints that can
	// never be met.
	checkInterval = 5 * time.Second
)

// Advance writes what has become complete. It does nothing while no record waits, or sooner than PollInterval after the
// last call.
func (t *Tracker) Advance(ctx context.Context, facts Facts) error {
	if len(t.pending) == 0 || time.Since(t.advanced) < PollInterval {
		return nil
	}
	t.advanced = time.Now()
	if err := t.resolveTopicIDs(ctx, facts); err != nil {
		return err
	}
	if err := t.readOtherLoadersOffsets(ctx, facts); err != nil {
		return err
	}
	if err := t.dropUnmeetable(ctx, facts); err != nil {
		return err
	}
	if points := t.completed(); len(points) > 0 {
		return facts.WritePoints(ctx, points)
	}
	return nil
}

// completed takes the points that are new, and forgets the records up to which everything is complete.
func (t *Tracker) completed() (points []ledger.Point) {
	ready, waiting := t.ready(), map[string]int{}
	all := t.firstWaiting(ready, waiting)
	add := func(table string, records int) {
		if records == 0 {
			return
		}
		at := t.pending[records-1].at
		if at.Table = table; at != t.written[table] {
			points = append(points, at)
			t.written[table] = at
		}
	}
	for topic, table := range t.topics {
		records, waits := waiting[topic]
		if !waits {
			records = ready
		}
		add(table, records)
	}
	add("", all)
	t.pending = slices.Delete(t.pending, 0, all)
	return points
}

// firstWaiting drops the constraints that are met. It gives how many of the first records are complete for everything;
// waiting gets, by topic, the index of the first of them that is not complete for it.
func (t *Tracker) firstWaiting(ready int, waiting map[string]int) int {
	all := ready
	for i := range t.pending[:ready] {
		p := &t.pending[i]
		p.unmet = slices.DeleteFunc(p.unmet, func(c constraint) bool { return !t.unresolved[c.topic] && t.appliedTo(c.partition) >= c.next })
		for _, c := range p.unmet {
			if _, is := waiting[c.topic]; !is {
				waiting[c.topic] = i
			}
			all = min(all, i)
		}
	}
	return all
}

// ready counts the records that are released.
func (t *Tracker) ready() int {
	i := slices.IndexFunc(t.pending, func(p pendingRecord) bool { return p.offset >= t.released })
	if i < 0 {
		return len(t.pending)
	}
	return i
}
