// Package complete decides up to which commit ClickHouse may be called complete: it folds the progress topic and the
// loaders' applied offsets into the points that complete_up_to shows (rules 8 and 24). It asks Kafka and ClickHouse
// through an interface only.
package complete

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"dirtbike/sinks/clickhouse/ledger"
)

// Tracker folds the progress topic into points of `complete`, in the loader that has that topic's one partition.
//
// Capture writes a progress record with each commit: the commit's position and, by topic and partition, the offset that
// follows the last record up to it (only what changed, except in full records). Each offset is a constraint: records
// below it must be applied.
//
// Invariant: a table is written complete up to a point only if, for every pending or dropped record up to that point,
// all constraints on the table's topic were met; everything ("") only if all constraints on all topics were. A
// constraint is met once the applied offset of its partition has reached it, where "applied" belongs to the very topic
// that the record speaks of:
//
//	Take(record):
//	    for each offset of the record:
//	        append a constraint
//	        require the topic's id, unless the partition is this loader's and is still below the offset
//	Advance:
//	    ask Kafka for the required topic ids; an id that changed drops what other loaders applied to the former topic
//	    read other loaders' applied offsets of partitions that something waits for; only those of the known id count
//	    drop constraints that can never be met (see below)
//	    drop constraints that are met; find, by topic, the first record that still has one
//	    write, by table, the point of the record before its first waiting one; for "", the minimum over all topics
//	    forget the records before the first waiting one: only up to there does the progress topic count as applied
//
// The id is asked for after the record was read, because the record names its topics only by name. A topic may have
// been deleted and made again since; what was applied to the former one says nothing about the offsets of the new one.
//
// A constraint on a topic that was deleted before it was loaded can never be met. It is dropped once the topic that has
// the name now cannot be what the record speaks of (it ends below the offset) and continues from a copy that is newer
// than all of the former topic: that copy's open record is in ClickHouse, so the table is not exact until the view
// shows the copy, which has everything. It is dropped, too, where no topic has the name and capture has excluded the
// table since: no more records come, and complete_up_to has no row for it.
//
// A table that is held for long keeps all records from its first one on; they are thinned, so that the others go on.
//
// Rejected: each loader writing its own points (the minimum over loaders needs to know which loaders there are, and one
// that is gone would stop it); taking the position of the last applied record of each partition (an idle table would
// never advance); comparing with offsets of the consumer group (they are not written in one transaction with the rows,
// and rule 21 starts from ClickHouse).
//
// A Tracker is not safe for concurrent use.
type Tracker struct {
	facts      Facts
	pending    []pendingRecord         // the records up to which not everything is complete, in order
	topics     map[string]string       // topics maps the topic of each table that is known to its name
	written    map[string]ledger.Point // what `complete` has, by table
	applied    map[partition]int64     // what other loaders have applied, as last read, to the topics of these ids
	ids        map[string]uuid.UUID
	unresolved map[string]bool // the topics whose ids must be asked for before their constraints can count as met
	released   int64           // the offset below which records count: what they say about tables is in ClickHouse
	// Times of the last Advance, of asking for all awaited ids, and of looking for constraints that can never be met.
	advanced, resolved, dropped time.Time
}

// pendingRecord is a progress record: complete once every constraint up to it is met.
type pendingRecord struct {
	offset int64
	at     ledger.Point
	unmet  []constraint
}

type partition struct {
	topic string
	id    int32
}

// constraint: offsets below next must be applied.
type constraint struct {
	partition
	next int64
}

// NewTracker begins with the points that `complete` has. The zero Tracker is one to which no record comes.
func NewTracker(facts Facts, points []ledger.Point) *Tracker {
	t := &Tracker{
		facts: facts, topics: map[string]string{}, written: map[string]ledger.Point{}, applied: map[partition]int64{},
		ids: map[string]uuid.UUID{}, unresolved: map[string]bool{},
	}
	for _, p := range points {
		if t.written[p.Table] = p; p.Table != "" {
			t.guessTopic(p.Table)
		}
	}
	return t
}

// Epoch is the one of the last point up to which everything was complete; 0 if there is none.
func (t *Tracker) Epoch() uint32 { return t.written[""].Position.Epoch }

// Pending counts the records that wait.
func (t *Tracker) Pending() int { return len(t.pending) }

// AppliedUpTo gives the offset up to which the progress topic counts as applied if next is the one to read.
func (t *Tracker) AppliedUpTo(next int64) int64 {
	if len(t.pending) > 0 {
		return t.pending[0].offset
	}
	return next
}

// Release says that what Take gave for the records below next is written, and the rows of their batch: only then do
// they count.
func (t *Tracker) Release(next int64) { t.released = max(t.released, next) }

// Take takes the record at an offset. It gives what the record says about the quarantine of tables, to be written
// before the record counts as applied.
func (t *Tracker) Take(offset int64, r *Record) (states []ledger.Quarantine) {
	for topic, table := range r.topics {
		t.setTopic(topic, table)
	}
	for _, c := range r.constraints { // its id is needed, unless the partition is this loader's and still below it
		if next, own := t.facts.AppliedHere(c.topic, c.id); !own || next >= c.next {
			t.unresolved[c.topic] = true
		}
	}
	states = slices.Clone(r.states)
	for _, s := range states {
		t.guessTopic(s.Table)
	}
	if r.Full {
		states = append(states, t.unnamed(r)...)
	}
	for i := range states {
		states[i].Version = r.version(offset)
	}
	t.thin()
	t.pending = append(t.pending, pendingRecord{offset: offset, at: r.point, unmet: slices.Clone(r.constraints)})
	return states
}

// unnamed excludes the tables of an earlier epoch that a full record does not name: capture has lost its state since
// then, and does not follow them.
func (t *Tracker) unnamed(r *Record) (states []ledger.Quarantine) {
	for table, at := range t.written {
		if _, named := r.Tables[table]; !named && table != "" && at.Position.Epoch < r.Epoch {
			states = append(states, excluded(table, 0))
		}
	}
	return states
}

// guessTopic guesses the topic of a table of which no record has named it; a schema with a dot in its name makes the
// guess wrong.
func (t *Tracker) guessTopic(table string) {
	for _, known := range t.topics {
		if known == table {
			return
		}
	}
	t.topics[t.facts.TopicOf(table)] = table
}

// setTopic notes the table that a topic's own name says, instead of the guess: a guessed topic that does not exist has
// no constraints.
func (t *Tracker) setTopic(topic, table string) {
	if t.topics[topic] == table {
		return
	}
	maps.DeleteFunc(t.topics, func(_, known string) bool { return known == table })
	t.topics[topic] = table
}

// appliedTo gives how far a partition is applied, as far as is known, and whether it is this loader's.
func (t *Tracker) appliedTo(p partition) (next int64, own bool) {
	if next, own = t.facts.AppliedHere(p.topic, p.id); !own {
		next = t.applied[p]
	}
	return next, own
}

// awaited lists the topics of the unmet constraints that are wanted, given how far their partitions are applied, how
// far they must be, and whether they are this loader's.
func (t *Tracker) awaited(wanted func(applied, next int64, own bool) bool) []string {
	topics := map[string]bool{}
	for i := range t.pending {
		for _, c := range t.pending[i].unmet {
			applied, own := t.appliedTo(c.partition)
			topics[c.topic] = topics[c.topic] || wanted(applied, c.next, own)
		}
	}
	maps.DeleteFunc(topics, func(_ string, wanted bool) bool { return !wanted })
	return slices.Sorted(maps.Keys(topics))
}
