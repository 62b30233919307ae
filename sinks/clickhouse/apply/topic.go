// Package apply holds what load knows about topics, partitions and generations, and decides by it what becomes of each
// record. Only Quarantines does I/O.
package apply

import (
	"maps"
	"slices"
	"time"

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
	Partitions  int32 // of the topic, which may have more than capture writes to; see EndsOn
	Progress    bool
	Parts       map[int32]*Partition
	Generations map[uint32]*Generation // Generations seen on any partition, by number
	Shown       uint32                 // the generation that the view shows; 0: there is no view
	Recorded    uint32                 // the generation that the table `shown` has
	Outdated    bool                   // Outdated says that a generation above shown, or storage below it, may exist
	// Controls are the control records of this very topic.
	Controls *Controls
	version  uint64 // version counts what changes where records go; see Changed
}

// Changed must be called after anything that may change where the topic's records go, unless a method of this package
// did it: what the view shows, which generations have storage or get no more changes, quarantines.
func (t *Topic) Changed() { t.version++ }

// Version is different after each change of where records go.
func (t *Topic) Version() uint64 { return t.version }

// Partition is one assigned partition.
type Partition struct {
	Topic *Topic
	ID    int32
	// Next is the offset after the last record taken into the batch, applied what ClickHouse has, stable the last
	// stable offset.
	Next, Applied, Stable int64
	Newest                uint32 // the newest generation opened on this partition before next
	// Controlled is how far control records are taken into the batch, AppliedControls what ClickHouse has.
	Controlled, AppliedControls Controlled
	nextControl                 int // the index of the next control record
	// Seek says that the log does not continue what is applied: records are passed over until a generation is opened;
	// nil if it does.
	Seek    *Seek
	Opens   map[uint32]End          // the open records that are known, by generation, each with its position; nil is none
	Missing map[string]cdc.Position // the keys whose row is known to be missing, and since when; nil is none
}

// Opened gives the newest generation that is known to be opened at or before an offset.
func (p *Partition) Opened(at int64) (newest uint32) {
	for number, open := range p.Opens {
		if open.Offset <= at {
			newest = max(newest, number)
		}
	}
	return newest
}

// Generation is one full copy of a table.
type Generation struct {
	Number  uint32
	Ends    map[int32]End // by partition
	Table   *table.Table  // its storage; nil until it is known
	Cuts    Cuts          // Cuts hide rows of its storage
	Dropped bool          // Dropped says that its storage is gone
	// Outgrown says that it gets no changes where a newer one is open: they no longer fit its columns, or a row was
	// missing from it.
	Outgrown bool
}

// End is the end record of a generation on a partition (rule 13), or its open. Offset is its place; of an open, Cut is
// its position.
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
		p.Opens = map[uint32]End{}
	}
	p.Opens[number] = mark
	if mark.Offset <= p.Next && number > p.Newest { // a replay comes to its opens again
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

// EndsOn is how many partitions a generation ends on, the first ones: those that its end record names. Somebody may
// have added partitions to the topic since, and loaders notice that at different times; capture writes nothing to them.
func (t *Topic) EndsOn(generation uint32) int32 {
	if named := t.Controls.Ends[generation]; named > 0 {
		return named
	}
	return t.Partitions
}

// Complete lists the generations that have ended on every partition, by the ends that ClickHouse has: what this loader
// has seen beyond that is not applied yet.
func (t *Topic) Complete(stored []ledger.Mark) map[uint32]bool {
	ends := map[uint32]int32{}
	complete := map[uint32]bool{}
	for _, m := range stored {
		all := t.EndsOn(m.Generation)
		if m.Kind != ledger.KindEnd || m.Partition >= all {
			continue
		}
		if ends[m.Generation]++; ends[m.Generation] >= all {
			complete[m.Generation] = true
		}
	}
	return complete
}

// View is the name of the table's view.
func (t *Topic) View() string { return schemas.ClickHouseView(t.Schema, t.Rel) }

// NewTopic reads the table's name from the topic's; ok is false for a topic that is none of this pipeline's.
func NewTopic(name, prefix string) (t *Topic, ok bool) {
	t = &Topic{Name: name, Parts: map[int32]*Partition{}, Generations: map[uint32]*Generation{}, Controls: &Controls{}}
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

// ForeignTopic is one that has the pipeline's prefix and no name that capture gives. Nothing of it is loaded.
func ForeignTopic(name string) *Topic {
	return &Topic{Name: name, Table: name, Parts: map[int32]*Partition{}, Generations: map[uint32]*Generation{}, Controls: &Controls{}}
}

// Cuts are the versions up to which rows of a generation are gone: by leaf, 0 for the whole table (rule 11). Cuts are
// never changed: each batch keeps those of its own end, while a later one is built.
type Cuts map[uint32]cdc.Position

// Hide reports whether a truncation hides a row of this version and leaf.
func (c Cuts) Hide(version cdc.Position, leaf uint32) bool {
	whole, all := c[0]
	part, some := c[leaf]
	return all && version.Compare(whole) <= 0 || some && version.Compare(part) <= 0
}

// With adds a truncation.
func (c Cuts) With(leaf uint32, version cdc.Position) Cuts {
	if version.Compare(c[leaf]) <= 0 {
		return c
	}
	out := Cuts{}
	maps.Copy(out, c)
	out[leaf] = version
	return out
}

// Union has the higher cut of each leaf.
func (c Cuts) Union(other map[uint32]cdc.Position) Cuts {
	out := maps.Clone(c)
	for leaf, version := range other {
		out = out.With(leaf, version)
	}
	return out
}

// Rule 17: when a key changed and the row was gone before capture could re-read its unchanged columns, the create comes
// marked `gone`. Load skips it, and the table is not exact until the delete or TRUNCATE that took the row away arrives,
// or the view shows a newer generation, whose copy began after the create, or one of another topic of that name.
//
// Which keys miss their row is kept in ClickHouse (ledger.MissingRow) and, by partition, here. Whether a record belongs
// to a missing row is decided when it is taken, so that a key can be forgotten as soon as its row is no longer missing.

// MarkMissing notes that the source's row of a key is not in ClickHouse, from a position on.
func (p *Partition) MarkMissing(key []byte, at cdc.Position) {
	if p.Missing == nil {
		p.Missing = map[string]cdc.Position{}
	}
	p.Missing[string(key)] = at
}

// Found forgets that a key's row is missing, because its delete has come; it reports whether it was.
func (p *Partition) Found(key []byte, at cdc.Position) bool {
	from, ok := p.Missing[string(key)]
	if !ok || from.Compare(at) >= 0 {
		return false
	}
	delete(p.Missing, string(key))
	return true
}

// FoundBelow forgets the missing rows from below the cut of a TRUNCATE, and lists their keys.
func (p *Partition) FoundBelow(cut cdc.Position) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(p.Missing)) {
		if p.Missing[key].Compare(cut) < 0 {
			delete(p.Missing, key)
			keys = append(keys, key)
		}
	}
	return keys
}

// IsMissing reports whether a record at this position, which was just taken, belongs to a row that is missing in a
// generation.
func (p *Partition) IsMissing(g *Generation, key []byte, at cdc.Position) bool {
	from, ok := p.Missing[string(key)]
	return ok && from.Compare(at) < 0 && !g.Below(p.ID, from)
}

// Seek is what a partition waits for if its log does not continue what ClickHouse has of it: records were dropped
// before they were loaded, or are older than the replay horizon; the log no longer begins at its start, or the topic
// was deleted and made again; or a generation is opened that is not newer than the one before it.
//
// Load goes on only from the open record of a generation that is newer than all it knows of that partition: a whole
// copy follows it, and the table is not exact until the view shows that copy. Until then nothing counts as applied.
// Without such a record load stops until the operator decides; `dirtbike resnapshot` writes one.
type Seek struct {
	// Above is the newest generation that is known: an open record must be of a later one. For a progress topic that
	// was made again it is the epoch.
	Above   uint32
	Renewed bool // the topic was deleted and made again
	// Until is where the log ended when the partition began to seek: if it is reached, nothing continues what was
	// loaded.
	Until int64
	// Start is where the log that is there begins: a generation that was opened before lacks rows.
	Start int64
	From  int64     // how far the partition may count as applied meanwhile
	Why   error     // the error with which load stops then
	Since time.Time // when the last record came
}

// Passed notes that the records below next are not what is sought. It gives Why once the log as it was has none.
func (s *Seek) Passed(next int64) error {
	s.Since = time.Now()
	if next >= s.Until {
		return s.Why
	}
	return nil
}
