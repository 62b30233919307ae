package apply

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// Topic is one topic of the pipeline, with the partitions of it that this loader has.
type Topic struct {
	Name, Table string // table is the real name "schema.table"
	Schema, Rel string
	ID          uuid.UUID
	Partitions  int32 // of the topic
	Progress    bool
	Parts       map[int32]*Partition
	// Generations seen on any partition, by number.
	Generations map[uint32]*Generation
	// Shown is the generation that the view shows; 0: there is no view.
	Shown uint32
	// Recorded is the generation that the table `shown` has.
	Recorded uint32
	// Outdated says that a generation above shown, or storage below it, may exist.
	Outdated bool
	// Rows inserted since the loader started.
	Rows int64
	// version counts what changes where records go; see Changed.
	version uint64
}

// Changed must be called after whatever may change where the topic's records go, unless a method of this package did
// it: what the view shows, which generations have storage or get no more changes, quarantines.
func (t *Topic) Changed() { t.version++ }

// Version is another one after each change of where records go.
func (t *Topic) Version() uint64 { return t.version }

// Partition is one assigned partition.
type Partition struct {
	Topic *Topic
	ID    int32
	// Next is the offset after the last record taken into the batch, applied what ClickHouse has, stable the last
	// stable offset.
	Next, Applied, Stable int64
	// Newest is the newest generation opened on this partition before next.
	Newest uint32
	// Seek says that the log does not continue what is applied: records are passed over until a generation is opened;
	// nil if it does.
	Seek *Seek
	// Opens are the offsets of the open records that are known, by generation; nil is none.
	Opens map[uint32]int64
	// Missing are the keys whose row is known to be missing, and since when; nil is none.
	Missing map[string]cdc.Position
}

// Opened gives the newest generation that is known to be opened before an offset.
func (p *Partition) Opened(before int64) (newest uint32) {
	for number, offset := range p.Opens {
		if offset < before {
			newest = max(newest, number)
		}
	}
	return newest
}

// Lag counts the offsets from what is applied to the last stable one.
func (p *Partition) Lag() int64 { return max(p.Stable-p.Applied, 0) }

// Generation is one full copy of a table.
type Generation struct {
	Number uint32
	Ends   map[int32]End // by partition
	// Table is its storage; nil until it is known.
	Table *table.Table
	// Cuts hide rows of its storage.
	Cuts Cuts
	// Dropped says that its storage is gone.
	Dropped bool
	// Outgrown says that it gets no changes where a newer one is open: they no longer fit its columns, or a row was
	// missing from it.
	Outgrown bool
}

// End is the end record of a generation on a partition (rule 13).
type End struct {
	Offset int64
	Cut    cdc.Position
}

// Generation gives the topic's generation, making it if needed.
func (t *Topic) Generation(n uint32) *Generation {
	g := t.Generations[n]
	if g == nil {
		g = &Generation{Number: n, Ends: map[int32]End{}}
		t.Generations[n] = g
	}
	return g
}

// Ended reports whether the generation's end was seen on a partition.
func (g *Generation) Ended(partition int32) bool {
	_, ok := g.Ends[partition]
	return ok
}

// Cut is the version of the generation's first snapshot, the zero position while no end is known; every partition's end
// says the same.
func (g *Generation) Cut() (at cdc.Position) {
	for _, end := range g.Ends {
		if end.Cut.Compare(at) > 0 {
			at = end.Cut
		}
	}
	return at
}

// Below reports whether a position lies below the generation's cut on a partition; before its end nothing does.
func (g *Generation) Below(partition int32, at cdc.Position) bool {
	end, ok := g.Ends[partition]
	return ok && at.Compare(end.Cut) < 0
}

// Learn takes an open or end of any partition into the state.
func (t *Topic) Learn(partition int32, number uint32, kind string, mark End) {
	t.version++
	g := t.Generation(number)
	if kind == ledger.KindEnd {
		g.Ends[partition] = mark
		return
	}
	p := t.Parts[partition]
	if p == nil {
		return
	}
	if p.Opens == nil {
		p.Opens = map[uint32]int64{}
	}
	p.Opens[number] = mark.Offset
	if mark.Offset < p.Next && number > p.Newest { // a replay comes to its opens again
		p.Newest = number
	}
}

// NewestGeneration is the newest one seen on any partition; 0 is none.
func (t *Topic) NewestGeneration() (n uint32) {
	for g := range t.Generations {
		n = max(n, g)
	}
	return n
}

// Complete lists the generations that have ended on every partition, by the ends that ClickHouse has: what this loader
// has seen beyond that is not applied yet.
func (t *Topic) Complete(stored []ledger.Mark) map[uint32]bool {
	ends := map[uint32]int32{}
	complete := map[uint32]bool{}
	for _, m := range stored {
		if m.Kind == ledger.KindEnd {
			ends[m.Generation]++
			complete[m.Generation] = t.Partitions > 0 && ends[m.Generation] >= t.Partitions
		}
	}
	return complete
}

// NewTopic reads the table's name from the topic's; ok is false for a topic that is none of this pipeline's.
func NewTopic(name, prefix string) (t *Topic, ok bool) {
	t = &Topic{Name: name, Parts: map[int32]*Partition{}, Generations: map[uint32]*Generation{}}
	if name == schemas.ProgressTopic(prefix) {
		t.Progress = true
		return t, true
	}
	if t.Schema, t.Rel, ok = schemas.SplitTopic(name, prefix); !ok {
		return nil, false
	}
	t.Table = t.Schema + "." + t.Rel
	return t, true
}

// SortedKeys lists the keys of a map in their order.
func SortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
