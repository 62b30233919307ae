package complete

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"dirtbike/sinks/clickhouse/ledger"
)

// Facts are what a Tracker asks its loader. The implementation retries questions to Kafka and ClickHouse, so that an
// error ends the loader or says that ctx has ended.
type Facts interface {
	// AppliedHere gives how far a partition that is assigned to this loader is applied; ok is false for any other
	// partition.
	AppliedHere(topic string, partition int32) (next int64, ok bool)
	// TopicOf gives the topic of a table, or a guess if no topic is known to be its own.
	TopicOf(table string) string
	// Excluded reports whether capture no longer follows the table.
	Excluded(table string) bool
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
	Partitions int             // Partitions counts those that the topic has; 0 means that Kafka did not say
	Ends       map[int32]int64 // Ends by partition; one that is missing is not known
}

const (
	// PollInterval is how long Advance waits between two queries of what is applied.
	PollInterval = 20 * time.Millisecond
	// checkInterval is the time between two of the expensive queries: ids of all awaited topics, and constraints that
	// can never be met.
	checkInterval = 5 * time.Second
)

// Advance writes what has become complete. It does nothing while no record waits, or sooner than PollInterval after the
// last call.
func (t *Tracker) Advance(ctx context.Context) error {
	if len(t.pending) == 0 || time.Since(t.advanced) < PollInterval {
		return nil
	}
	t.advanced = time.Now()
	for _, step := range []func(context.Context) error{t.resolveTopicIDs, t.readOtherLoadersOffsets, t.dropUnmeetable} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if points := t.completed(); len(points) > 0 {
		return t.facts.WritePoints(ctx, points)
	}
	return nil
}

// completed takes the points that are new, and forgets the records up to which everything is complete.
func (t *Tracker) completed() (points []ledger.Point) {
	ready, _ := slices.BinarySearchFunc(t.pending, t.released, func(p pendingRecord, released int64) int { return cmp.Compare(p.offset, released) })
	waiting := map[string]int{}
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
		p.unmet = slices.DeleteFunc(p.unmet, func(c constraint) bool {
			next, _ := t.appliedTo(c.partition)
			return !t.unresolved[c.topic] && next >= c.next
		})
		for _, c := range p.unmet {
			if _, is := waiting[c.topic]; !is {
				waiting[c.topic] = i
			}
			all = min(all, i)
		}
	}
	return all
}

// resolveTopicIDs asks for the required ids, and from time to time for those of all topics of other loaders that
// records wait for. A topic that does not exist, or has no id yet, stays unresolved.
func (t *Tracker) resolveTopicIDs(ctx context.Context) error {
	if time.Since(t.resolved) > checkInterval {
		t.resolved = time.Now()
		for _, topic := range t.awaited(func(_, _ int64, own bool) bool { return !own }) {
			t.unresolved[topic] = true
		}
	}
	if len(t.unresolved) == 0 {
		return nil
	}
	ids, _, err := t.facts.TopicIDs(ctx, slices.Sorted(maps.Keys(t.unresolved)))
	for topic, id := range ids {
		t.setTopicID(topic, id)
		delete(t.unresolved, topic)
	}
	return err
}

// setTopicID takes the topic's id, and forgets what was applied to a former topic of its name.
func (t *Tracker) setTopicID(topic string, id uuid.UUID) {
	if t.ids[topic] == id {
		return
	}
	t.ids[topic] = id
	maps.DeleteFunc(t.applied, func(p partition, _ int64) bool { return p.topic == topic })
}

// readOtherLoadersOffsets reads what is applied to partitions that this loader does not have and something waits for.
func (t *Tracker) readOtherLoadersOffsets(ctx context.Context) error {
	topics := t.awaited(func(applied, next int64, own bool) bool { return !own && applied < next })
	if len(topics) == 0 {
		return nil
	}
	list, err := t.facts.Applied(ctx, topics)
	for _, a := range list {
		if t.ids[a.Topic] == a.TopicID {
			t.applied[partition{a.Topic, a.Partition}] = a.Next
		}
	}
	return err
}

// dropUnmeetable drops the constraints that can never be met, from time to time while something waits.
func (t *Tracker) dropUnmeetable(ctx context.Context) error {
	if time.Since(t.dropped) < checkInterval {
		return nil
	}
	t.dropped = time.Now()
	topics := t.awaited(func(int64, int64, bool) bool { return true })
	if len(topics) == 0 {
		return nil
	}
	if err := t.dropExcludedTableConstraints(ctx, topics); err != nil {
		return err
	}
	return t.dropDeletedTopicConstraints(ctx, topics)
}

// dropExcludedTableConstraints drops the constraints on topics that are gone, of tables that capture has excluded.
func (t *Tracker) dropExcludedTableConstraints(ctx context.Context, topics []string) error {
	excluded := slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return !t.facts.Excluded(t.topics[topic]) })
	if len(excluded) == 0 {
		return nil
	}
	_, missing, err := t.facts.TopicIDs(ctx, excluded)
	if err != nil {
		return err
	}
	t.drop(func(c constraint) bool { return missing[c.topic] })
	return nil
}

// dropDeletedTopicConstraints drops the constraints on former topics of a name.
func (t *Tracker) dropDeletedTopicConstraints(ctx context.Context, topics []string) error {
	opens, err := t.facts.Opens(ctx, topics)
	if err != nil {
		return err
	}
	renewed := renewedTopics(opens)
	if len(renewed) == 0 {
		return nil
	}
	ends, err := t.facts.Ends(ctx, slices.Sorted(maps.Keys(renewed)))
	if err != nil {
		return err
	}
	ids, _, err := t.facts.TopicIDs(ctx, slices.Sorted(maps.Keys(renewed))) // after the ends: a topic that was deleted does not get its id back
	if err != nil {
		return err
	}
	t.drop(func(c constraint) bool {
		now := ends[c.topic]
		end, known := now.Ends[c.id]
		below := known && end < c.next || now.Partitions > 0 && int(c.id) >= now.Partitions // or it has no such partition
		// what is asked of control records is met by those of any newer copy
		return c.id < ledger.ControlsOf(0) && renewed[c.topic] != uuid.Nil && renewed[c.topic] == ids[c.topic] && below
	})
	return nil
}

// renewedTopics gives the ids of those topics that have an open record of a generation that is newer than all of the
// former topics of their names.
func renewedTopics(opens []ledger.Mark) map[string]uuid.UUID {
	byTopic := map[string][]ledger.Mark{}
	for _, m := range opens {
		byTopic[m.Topic] = append(byTopic[m.Topic], m)
	}
	renewed := map[string]uuid.UUID{}
	for topic, list := range byTopic {
		newest := slices.MaxFunc(list, func(a, b ledger.Mark) int { return cmp.Compare(a.Generation, b.Generation) })
		former := slices.DeleteFunc(list, func(m ledger.Mark) bool { return m.TopicID == newest.TopicID })
		if len(former) > 0 && !slices.ContainsFunc(former, func(m ledger.Mark) bool { return m.Generation == newest.Generation }) {
			renewed[topic] = newest.TopicID
		}
	}
	return renewed
}

// drop drops the constraints that can never be met.
func (t *Tracker) drop(never func(constraint) bool) {
	for i := range t.pending {
		before := len(t.pending[i].unmet)
		t.pending[i].unmet = slices.DeleteFunc(t.pending[i].unmet, never)
		if len(t.pending[i].unmet) < before {
			t.dropped = time.Time{} // records that are not read yet may have more of them
		}
	}
}
