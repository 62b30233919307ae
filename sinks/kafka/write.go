package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// recordOverhead is an upper bound on what a batch of one record adds to its key, value and position header: 69 bytes
// of batch, 32 of the record's lengths and deltas, the header's name and its lengths.
const recordOverhead = 69 + 32 + len(cdc.PositionHeader) + cdc.PositionSize + 8

// MaxRecord is the largest key and value together, in bytes, of a record that fits where messages may have
// maxMessageBytes.
func MaxRecord(maxMessageBytes int) int { return maxMessageBytes - recordOverhead }

// slab holds the client's records of one chunk. They alias the chunk, and both are reused once all are answered.
type slab struct {
	chunk     *cdc.Chunk
	txn       *transaction
	records   []kgo.Record
	headers   []kgo.RecordHeader
	positions []byte
	last      []lastRecord
	pending   atomic.Int64
	answered  func(*kgo.Record, error)
	controls  []controlAt
}

// lastRecord is the last record of a partition in a slab: its offset will be the greatest.
type lastRecord struct {
	topic  *topicState
	record *kgo.Record
}

// Write implements cdc.Sink. It returns as soon as the client has taken the records, and blocks while the client's
// buffer is full. A record that cannot fit gives a *RecordTooLarge, with nothing of the chunk taken and the sink as it
// was.
func (s *Sink) Write(ctx context.Context, c *cdc.Chunk) (cdc.Accepted, error) {
	if err := s.usable("write"); err != nil {
		return cdc.Accepted{}, err
	}
	tombstones, err := s.check(c)
	if tooLarge := (*RecordTooLarge)(nil); errors.As(err, &tooLarge) {
		return cdc.Accepted{}, err
	}
	if err == nil {
		err = s.write(ctx, c, tombstones)
	}
	if err != nil {
		return cdc.Accepted{}, s.poison("write", err)
	}
	return cdc.AcceptedRecords(int64(len(c.Records)), int64(c.Size())), nil
}

func (s *Sink) write(ctx context.Context, c *cdc.Chunk, tombstones int) error {
	s.collect()
	if s.txn != nil {
		s.o.Fault.At(cdc.FaultInTxn)
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.txn.bind(ctx)()
	b := s.take(c, tombstones)
	s.fill(b)
	b.noteControls(s.stateOf)
	if record, err := s.topics.takeMarks(ctx, b); err != nil {
		b.pending.Store(0) // none was handed over
		b.txn.note(record, err)
		return b.txn.err()
	}
	// Once one is refused, the rest is refused by the ended context, so that no record overtakes a failed one.
	for client, i := s.client.Load(), 0; i < len(b.records); i++ {
		client.Produce(b.txn.ctx, &b.records[i], b.answered)
	}
	s.txn.records += int64(len(c.Records))
	s.txn.bytes += int64(len(c.Bytes))
	return s.txn.err()
}

// check reads every record before any is handed over, and counts the tombstones.
func (s *Sink) check(c *cdc.Chunk) (tombstones int, err error) {
	limit := MaxRecord(int(s.o.MaxMessageBytes))
	for i := range c.Records {
		r := &c.Records[i]
		if r.End-r.Key > limit {
			return 0, &RecordTooLarge{Topic: r.Topic.Name, Bytes: r.End - r.Key, Limit: limit}
		}
		if r.Partition < 0 || r.Partition >= r.Topic.Partitions {
			return 0, fmt.Errorf("record %d of a chunk is for partition %d of topic %s, which has %d: this is a bug", i, r.Partition, r.Topic.Name, r.Topic.Partitions)
		}
		if r.Tombstone {
			tombstones++
		}
	}
	return tombstones, nil
}

// take gets a slab with room for the chunk; nothing in it moves later, because the client holds pointers into it.
func (s *Sink) take(c *cdc.Chunk, tombstones int) *slab {
	b := &slab{}
	if n := len(s.free); n > 0 {
		b, s.free = s.free[n-1], s.free[:n-1]
	} else {
		b.answered = func(r *kgo.Record, err error) {
			if err != nil {
				b.txn.note(r, err)
			}
			b.pending.Add(-1)
		}
	}
	b.chunk, b.txn = c, s.txn
	b.last = b.last[:0]
	b.records = sized(b.records, len(c.Records))
	b.headers = sized(b.headers, tombstones)
	b.positions = sized(b.positions, tombstones*cdc.PositionSize)
	b.pending.Store(int64(len(c.Records)))
	s.open = append(s.open, b)
	return b
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// fill makes the client's records and notes the last one of each partition.
func (s *Sink) fill(b *slab) {
	var (
		now        = time.Now()
		topic      *cdc.Topic
		state      *topicState
		tombstones int
	)
	for i := range b.records {
		r, k := &b.chunk.Records[i], &b.records[i]
		if r.Topic != topic {
			topic, state = r.Topic, s.stateOf(r.Topic)
		}
		*k = kgo.Record{Topic: topic.Name, Partition: r.Partition, Key: b.chunk.Key(i), Value: b.chunk.Value(i), Timestamp: now}
		if r.Tombstone {
			from, to := tombstones*cdc.PositionSize, (tombstones+1)*cdc.PositionSize
			b.headers[tombstones] = kgo.RecordHeader{Key: cdc.PositionHeader, Value: r.Position.AppendTo(b.positions[from:from:to])}
			k.Headers = b.headers[tombstones : tombstones+1 : tombstones+1]
			tombstones++
		}
		b.noteLast(state, k)
	}
}

func (b *slab) noteLast(t *topicState, k *kgo.Record) {
	at := &t.seen[k.Partition]
	if at.slab != b || at.index >= len(b.last) || b.last[at.index].topic != t || b.last[at.index].record.Partition != k.Partition {
		*at = seenIn{b, len(b.last)}
		b.last = append(b.last, lastRecord{topic: t})
	}
	b.last[at.index].record = k
}

// stateOf finds the topic's offsets, by the pointer first: a pipeline has one Topic for each topic.
func (s *Sink) stateOf(t *cdc.Topic) *topicState {
	if state, ok := s.byTopic[t]; ok {
		return state
	}
	state := s.ledger.topic(t.Name)
	state.grow(t.Partitions)
	s.byTopic[t] = state
	return state
}

// collect takes the offsets out of the oldest slabs that are fully answered, and gives their chunks back.
func (s *Sink) collect() {
	done := 0
	for _, b := range s.open {
		if b.pending.Load() != 0 || b.txn.failed.Load() != nil {
			break
		}
		s.placed.take(b, s.ids)
		for _, l := range b.last {
			s.ledger.moved(l.topic, l.record.Partition, l.record.Offset+1)
		}
		s.recycle(b)
		done++
	}
	s.open = append(s.open[:0], s.open[done:]...)
}

// recycle keeps the slab and gives its chunk back.
func (s *Sink) recycle(b *slab) {
	if s.o.Release != nil {
		s.o.Release(b.chunk)
	}
	b.chunk, b.txn = nil, nil
	s.free = append(s.free, b)
}

// abandon gives back the chunks of a transaction that will not be committed. The client is closed and fails what it
// still holds; a chunk that it does not let go of in time is left to the garbage collector.
func (s *Sink) abandon() {
	grace, cancel := context.WithTimeout(context.Background(), abandonGrace)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, b := range s.open {
		for b.pending.Load() != 0 && grace.Err() == nil {
			select {
			case <-tick.C:
			case <-grace.Done():
			}
		}
		if b.pending.Load() == 0 {
			s.recycle(b)
		}
	}
	s.open = nil
}
