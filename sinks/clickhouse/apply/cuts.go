package apply

import (
	"maps"

	"dirtbike/cdc"
)

// Cuts are the versions up to which rows of a generation are gone: by leaf, 0 for the whole table (rule 11). Cuts are
// never changed: each batch keeps those of its own end, while a later one is built.
type Cuts map[uint32]cdc.Position

// Hide reports whether a truncation hides a row of this version and leaf.
func (c Cuts) Hide(version cdc.Position, leaf uint32) bool {
	return c.hides(0, version) || c.hides(leaf, version)
}

func (c Cuts) hides(leaf uint32, version cdc.Position) bool {
	cut, ok := c[leaf]
	return ok && version.Compare(cut) <= 0
}

// With adds a truncation.
func (c Cuts) With(leaf uint32, version cdc.Position) Cuts {
	if version.Compare(c[leaf]) <= 0 {
		return c
	}
	out := Cuts{leaf: version}
	for l, cut := range c {
		if l != leaf {
			out[l] = cut
		}
	}
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
