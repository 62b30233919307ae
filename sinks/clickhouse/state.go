package clickhouse

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// topic is one topic of the pipeline, with the partitions of it that this loader has.
type topic struct {
	name, table string // table is the real name "schema.table"
	schema, rel string
	id          uuid.UUID
	partitions  int32 // of the topic
	progress    bool
	parts       map[int32]*partition
	// generations seen on any partition, by number.
	generations map[uint32]*generation
	// shown is the generation that the view shows; 0: there is no view.
	shown uint32
	// recorded is the generation that the table `shown` has.
	recorded uint32
	// unsettled says that a generation above shown, or storage below it, may exist.
	unsettled bool
	rows      int64
}

// partition is one assigned partition.
type partition struct {
	topic *topic
	id    int32
	// next is the offset behind the last record taken into the batch, applied what ClickHouse has, stable the last stable offset.
	next, applied, stable int64
	// newest is the newest generation opened on this partition before next.
	newest uint32
	// seek says that the log does not continue what is applied: records are passed over until a generation is opened; nil if it does.
	seek *seek
	// opens are the offsets of the open records that are known, by generation; nil is none.
	opens map[uint32]int64
	// gone are the keys whose row is known to be missing; nil is none.
	gone map[string]goneMark
}

// opened gives the newest generation that is known to be opened before an offset.
func (p *partition) opened(before int64) (newest uint32) {
	for number, offset := range p.opens {
		if offset < before {
			newest = max(newest, number)
		}
	}
	return newest
}

func (p *partition) lag() int64 { return max(p.stable-p.applied, 0) }

// generation is one full copy of a table.
type generation struct {
	number uint32
	ends   map[int32]endMark // by partition
	store  *storage          // nil until its table is known
	// dropped says that its storage is gone.
	dropped bool
	// outgrown says that it gets no changes where a newer one is open: they no longer fit its columns, or a row was missing from it.
	outgrown bool
}

// endMark is the end record of a generation on a partition (rule 13).
type endMark struct {
	offset int64
	cut    cdc.Position
}

// generation gives the topic's generation, making it if needed.
func (t *topic) generation(n uint32) *generation {
	g := t.generations[n]
	if g == nil {
		g = &generation{number: n, ends: map[int32]endMark{}}
		t.generations[n] = g
	}
	return g
}

// ended reports whether the generation's end was seen on a partition.
func (g *generation) ended(partition int32) bool {
	_, ok := g.ends[partition]
	return ok
}

// cut is the version of the generation's first snapshot, the zero position while no end is known; every partition's end says the same.
func (g *generation) cut() (at cdc.Position) {
	for _, end := range g.ends {
		if end.cut.Compare(at) > 0 {
			at = end.cut
		}
	}
	return at
}

// below reports whether a position lies below the generation's cut on a partition; before its end nothing does.
func (g *generation) below(partition int32, at cdc.Position) bool {
	end, ok := g.ends[partition]
	return ok && at.Compare(end.cut) < 0
}

// newTopic reads the table's name from the topic's; ok is false for a topic that is none of this pipeline's.
func newTopic(name, prefix string) (t *topic, ok bool) {
	t = &topic{name: name, parts: map[int32]*partition{}, generations: map[uint32]*generation{}}
	if name == schemas.ProgressTopic(prefix) {
		t.progress = true
		return t, true
	}
	if t.schema, t.rel, ok = schemas.SplitTopic(name, prefix); !ok {
		return nil, false
	}
	t.table = t.schema + "." + t.rel
	return t, true
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
