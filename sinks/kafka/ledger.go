package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"dirtbike/cdc"
)

// unknownOffset marks a partition of which no data record is known.
const unknownOffset = -1

// fullEvery is how many progress records may follow a full one: it bounds what Recover reads back.
const fullEvery = 1024

// ledger is what the progress topic says, and what of it the next record must say (rule 8).
type ledger struct {
	topics map[string]*topicState
	tables map[string]cdc.TableProgress
	// partitions is the count of every table's topic.
	partitions int32

	movedTopics   []*topicState
	changedTables map[string]struct{}
	// troubled are the topics whose ends could not be read, and why.
	troubled  map[string]error
	full      bool // the next record must name everything
	sinceFull int
}

// topicState is how far each partition of a topic reaches.
type topicState struct {
	name   []byte    // as JSON
	next   []int64   // last data offset + 1, or unknownOffset
	moved  []bool    // since the last progress record
	seen   []seenIn  // where Write noted the partition's last record
	listed bool      // in ledger.movedTopics
	looked time.Time // when its settings were looked at last
}

// seenIn is the entry of a slab's list of last records.
type seenIn struct {
	slab  *slab
	index int
}

func newLedger() *ledger {
	return &ledger{topics: map[string]*topicState{}, tables: map[string]cdc.TableProgress{}, changedTables: map[string]struct{}{}, troubled: map[string]error{}, full: true}
}

// topic finds or makes the state of a topic; it knows no partition yet.
func (l *ledger) topic(name string) *topicState {
	t := l.topics[name]
	if t == nil {
		quoted, _ := json.Marshal(name) //nolint:errchkjson // a string always marshals
		t = &topicState{name: quoted}
		l.topics[name] = t
	}
	return t
}

// grow makes room for that many partitions.
func (t *topicState) grow(partitions int32) {
	for int32(len(t.next)) < partitions { //nolint:gosec // Kafka counts partitions in int32
		t.next = append(t.next, unknownOffset)
		t.moved = append(t.moved, false)
		t.seen = append(t.seen, seenIn{})
	}
}

// known notes an offset read back; the partition has not moved.
func (l *ledger) known(topic string, partition int32, next int64) {
	t := l.topic(topic)
	t.grow(partition + 1)
	t.next[partition] = next
}

// moved notes a new last data record.
func (l *ledger) moved(t *topicState, partition int32, next int64) {
	t.next[partition] = next
	t.moved[partition] = true
	if !t.listed {
		t.listed = true
		l.movedTopics = append(l.movedTopics, t)
	}
}

// recreated forgets the offsets of a topic that was just made again.
func (l *ledger) recreated(topic string) {
	t := l.topics[topic]
	if t == nil {
		return
	}
	for i := range t.next {
		t.next[i] = unknownOffset
	}
	l.full = true
}

// stateChanged takes what a progress record says of a changed state.
func (l *ledger) stateChanged(c cdc.StateChange) {
	switch c := c.(type) {
	case cdc.SourceState:
		l.partitions = c.Partitions
	case cdc.TableState:
		l.table(&c)
	}
}

// table notes a table's state and reports whether the progress record would say something new.
func (l *ledger) table(t *cdc.TableState) {
	now := cdc.TableProgress{Phase: t.Phase, Reason: t.Reason, Generation: t.Generation, Controls: t.Controls, Topic: t.Topic, Partitions: l.partitions}
	if was, ok := l.tables[t.Name()]; ok && was == now {
		return
	}
	l.tables[t.Name()] = now
	l.changedTables[t.Name()] = struct{}{}
}

// dueFull reports whether the next record names everything.
func (l *ledger) dueFull() bool { return l.full || l.sinceFull >= fullEvery }

// encode gives the progress record of point p.
func (l *ledger) encode(p cdc.Point) ([]byte, error) {
	full := l.dueFull()
	dst := fmt.Appendf(nil, `{"format":%d,"epoch":%d,"commit_lsn":"%s","ordinal":%d,"lsn":"%s","time_us":%d`,
		cdc.StateFormat, p.Position.Epoch, p.Position.CommitLSN, p.Position.Ordinal, p.Reported, p.Time)
	if full {
		dst = append(dst, `,"full":true`...)
	}
	dst = append(dst, `,"offsets":{`...)
	start, topics := len(dst), l.movedTopics
	if full {
		topics = slices.SortedFunc(maps.Values(l.topics), func(a, b *topicState) int { return bytes.Compare(a.name, b.name) })
	}
	for _, t := range topics {
		dst = t.appendTo(dst, start, full)
	}
	dst = append(dst, `},"tables":`...)
	tables, err := json.Marshal(l.namedTables(full))
	if err != nil {
		return nil, fmt.Errorf("encode progress: %w", err)
	}
	return append(append(dst, tables...), '}'), nil
}

// appendTo writes the topic's partitions that have moved, or all that are known, or nothing if there are none; the list
// of topics begins at dst[start].
func (t *topicState) appendTo(dst []byte, start int, known bool) []byte {
	first := true
	for i, next := range t.next {
		if known && next == unknownOffset || !known && !t.moved[i] {
			continue
		}
		switch {
		case !first:
			dst = append(dst, ',')
		case len(dst) > start:
			dst = append(append(append(dst, ','), t.name...), ":{"...)
		default:
			dst = append(append(dst, t.name...), ":{"...)
		}
		first = false
		dst = append(strconv.AppendInt(append(dst, '"'), int64(i), 10), `":`...)
		dst = strconv.AppendInt(dst, next, 10)
	}
	if first {
		return dst
	}
	return append(dst, '}')
}

func (l *ledger) namedTables(full bool) map[string]cdc.TableProgress {
	if full {
		return l.tables
	}
	named := make(map[string]cdc.TableProgress, len(l.changedTables))
	for name := range l.changedTables {
		named[name] = l.tables[name]
	}
	return named
}

// written starts the next delta, after a progress record was committed.
func (l *ledger) written() {
	if l.dueFull() {
		l.full, l.sinceFull = false, 0
	} else {
		l.sinceFull++
	}
	for _, t := range l.movedTopics {
		clear(t.moved)
		t.listed = false
	}
	l.movedTopics = l.movedTopics[:0]
	clear(l.changedTables)
}
