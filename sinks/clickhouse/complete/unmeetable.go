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

// dropUnmeetable drops the constraints that can never be met, from time to time while something waits.
func (t *Tracker) dropUnmeetable(ctx context.Context, facts Facts) error {
	if time.Since(t.dropped) < checkInterval {
		return nil
	}
	t.dropped = time.Now()
	topics := t.awaited(func(constraint) bool { return true })
	if len(topics) == 0 {
		return nil
	}
	if err := t.dropExcludedTableConstraints(ctx, facts, topics); err != nil {
		return err
	}
	return t.dropDeletedTopicConstraints(ctx, facts, topics)
}

// dropExcludedTableConstraints drops the constraints on topics that are gone, of tables that capture has excluded.
func (t *Tracker) dropExcludedTableConstraints(ctx context.Context, facts Facts, topics []string) error {
	excluded := slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return !t.own.Excluded(t.topics[topic]) })
	if len(excluded) == 0 {
		return nil
	}
	_, missing, err := facts.TopicIDs(ctx, excluded)
	if err != nil {
		return err
	}
	t.drop(func(c constraint) bool { return missing[c.topic] })
	return nil
}

// dropDeletedTopicConstraints drops the constraints on former topics of a name.
func (t *Tracker) dropDeletedTopicConstraints(ctx context.Context, facts Facts, topics []string) error {
	opens, err := facts.Opens(ctx, topics)
	if err != nil {
		return err
	}
	renewed := renewedTopics(opens)
	if len(renewed) == 0 {
		return nil
	}
	ends, err := facts.Ends(ctx, keys(renewed))
	if err != nil {
		return err
	}
	ids, _, err := facts.TopicIDs(ctx, keys(renewed)) // after the ends: a topic that was deleted does not get its id back
	if err != nil {
		return err
	}
	t.drop(func(c constraint) bool {
		return renewed[c.topic] != uuid.Nil && renewed[c.topic] == ids[c.topic] && ends[c.topic].below(c)
	})
	return nil
}

// below reports whether the partition is known to end before the constraint's offset, or not to exist.
func (e TopicEnds) below(c constraint) bool {
	end, known := e.Ends[c.id]
	return known && end < c.next || e.Partitions > 0 && int(c.id) >= e.Partitions
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

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
