package complete

import (
	"cmp"
	"slices"
)

// thinFrom is how many records may wait before they are thinned: one table that is held for long holds all records
// from its first one on, and must not stop those that come.
const thinFrom = 4096

// thin joins each two records that count into one, if many wait. The joined one is that of the later point, begins at
// the offset of the earlier, and has the constraints of both, so that nothing is called complete sooner: only points
// between are lost. Of two constraints on a partition the later one is enough unless it asks for less: then the topic
// was made again between them.
func (t *Tracker) thin() {
	if len(t.pending) < thinFrom {
		return
	}
	ready, _ := slices.BinarySearchFunc(t.pending, t.released, func(p pendingRecord, released int64) int { return cmp.Compare(p.offset, released) })
	out := t.pending[:0]
	for i := 0; i < ready; i += 2 {
		joined := t.pending[i]
		if i+1 < ready {
			later := t.pending[i+1]
			joined.at, joined.unmet = later.at, join(joined.unmet, later.unmet)
		}
		out = append(out, joined)
	}
	t.pending = append(out, t.pending[ready:]...)
}

// join gives the constraints of two records in a row.
func join(before, after []constraint) []constraint {
	later := make(map[partition]int64, len(after))
	for _, c := range after {
		later[c.partition] = max(later[c.partition], c.next)
	}
	kept := slices.DeleteFunc(before, func(c constraint) bool { next, is := later[c.partition]; return is && next >= c.next })
	return append(kept, after...)
}
