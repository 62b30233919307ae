package clickhouse

import (
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
	"time"
)

// batch is what has been taken from Kafka and is not applied yet. It is guarded by Loader.mu.
type batch struct {
	// records counts all, rows those that become rows; bytes is about what they take in memory.
	records, rows int
	bytes         int64
	since         time.Time // of the first record
	stores        []*storage
	// warm are the storages of the batch before. Only they keep emptied segments, so that what is kept stays below a batch.
	warm  []*storage
	moved map[*apply.Partition]bool // partitions whose next is ahead of applied
	cuts  []ledger.Cut
	marks []ledger.Mark
	gone  []goneRow
	// commitTime is that of the last change, microseconds since 1970; 0: none.
	commitTime int64
}

func newBatch() *batch { return &batch{moved: map[*apply.Partition]bool{}} }

// take notes that a partition's record was taken into the batch.
func (b *batch) take(p *apply.Partition, next int64) {
	if b.records == 0 {
		b.since = time.Now()
	}
	b.records++
	p.Next = next
	b.moved[p] = true
}

// grew notes what a row added to a storage.
func (b *batch) grew(s *storage, bytes int64) {
	if !s.inBatch {
		s.inBatch = true
		b.stores = append(b.stores, s)
	}
	s.bytes += bytes
	b.bytes += bytes
	b.rows++
}

// drop forgets the rows of a storage.
func (b *batch) drop(s *storage) {
	b.bytes -= s.bytes
	s.clear()
}

func (b *batch) empty() bool { return b.records == 0 }

// reset empties the batch after it was applied.
func (b *batch) reset() {
	for _, s := range b.warm {
		if !s.inBatch {
			s.spare = nil
		}
	}
	for _, s := range b.stores {
		s.clear()
		s.inBatch = false
	}
	b.forgetGone()
	clear(b.warm)
	clear(b.moved)
	*b = batch{stores: b.warm[:0], warm: b.stores, moved: b.moved, cuts: b.cuts[:0], marks: b.marks[:0], gone: b.gone[:0]}
}
