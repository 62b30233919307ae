package complete

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// requireTopicID makes the id of the constraint's topic be asked for, unless the partition is this loader's and still
// below it.
func (t *Tracker) requireTopicID(c constraint) {
	if next, own := t.own.Applied(c.topic, c.id); !own || next >= c.next {
		t.unresolved[c.topic] = true
	}
}

// resolveTopicIDs asks for the required ids, and from time to time for those of all topics of other loaders' that
// something waits for. A topic that is not there, or has no id yet, stays unresolved.
func (t *Tracker) resolveTopicIDs(ctx context.Context, facts Facts) error {
	if time.Since(t.resolved) > checkInterval {
		t.resolved = time.Now()
		for _, topic := range t.awaited(func(c constraint) bool { return !t.isOwn(c.partition) }) {
			t.unresolved[topic] = true
		}
	}
	if len(t.unresolved) == 0 {
		return nil
	}
	ids, _, err := facts.TopicIDs(ctx, keys(t.unresolved))
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
	for p := range t.applied {
		if p.topic == topic {
			delete(t.applied, p)
		}
	}
}

// readOtherLoadersOffsets reads what is applied to partitions that this loader does not have and something waits for.
func (t *Tracker) readOtherLoadersOffsets(ctx context.Context, facts Facts) error {
	topics := t.awaited(func(c constraint) bool { return !t.isOwn(c.partition) && t.applied[c.partition] < c.next })
	if len(topics) == 0 {
		return nil
	}
	list, err := facts.Applied(ctx, topics)
	for _, a := range list {
		if t.ids[a.Topic] == a.TopicID {
			t.applied[partition{a.Topic, a.Partition}] = a.Next
		}
	}
	return err
}
