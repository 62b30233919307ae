package kafka

import (
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
)

// topicIDs knows Kafka's ids of the tables' topics: somebody may delete a topic and make another of its name, which
// lacks all that was written. It outlives Recover, and is safe for concurrent use.
type topicIDs struct {
	mu sync.Mutex
	// written are the topics that the stored state speaks of, by name: what a table has in another one must be copied.
	written map[string]uuid.UUID
	// seen are those that were ensured last.
	seen map[string]uuid.UUID
}

func newTopicIDs() *topicIDs {
	return &topicIDs{written: map[string]uuid.UUID{}, seen: map[string]uuid.UUID{}}
}

// restore takes the ids that the state has; one that a build wrote which stored none stays as it is known.
func (t *topicIDs) restore(state *cdc.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, table := range state.Tables {
		if id, err := uuid.Parse(table.TopicID); err == nil && table.Topic != "" {
			t.written[table.Topic] = id
		}
	}
}

// ensured notes a topic that is there, and reports whether it is another one than the state speaks of.
func (t *topicIDs) ensured(topic string, id kadm.TopicID) (other bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[topic] = uuid.UUID(id)
	written, known := t.written[topic]
	if !known {
		t.written[topic] = uuid.UUID(id)
	}
	return known && written != uuid.UUID(id)
}

// another reports whether a topic is neither the one that was ensured last nor, where none was, the state's.
func (t *topicIDs) another(topic string, id kadm.TopicID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.seen[topic]
	if !known {
		last, known = t.written[topic]
	}
	return known && last != uuid.UUID(id)
}

// of is the id of a topic that was ensured; zero if it was not.
func (t *topicIDs) of(topic string) uuid.UUID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[topic]
}

// stamp completes a state that is about to be written with the id of the table's topic.
func (t *topicIDs) stamp(c cdc.StateChange) cdc.StateChange {
	table, is := c.(cdc.TableState)
	if !is {
		return c
	}
	if id := t.of(table.Topic); id != (uuid.UUID{}) {
		table.TopicID = id.String()
	}
	return table
}

// committed notes that the state speaks of the topics as they were ensured.
func (t *topicIDs) committed(changed []cdc.StateChange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changed {
		if table, is := c.(cdc.TableState); is {
			if id, seen := t.seen[table.Topic]; seen {
				t.written[table.Topic] = id
			}
		}
	}
}
