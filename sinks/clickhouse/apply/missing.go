package apply

import "dirtbike/cdc"

// Missing is one key of a partition whose row is missing from `from` until `until`; a zero `until` means still.
type Missing struct{ From, Until cdc.Position }

func (m Missing) Open() bool { return m.Until.IsZero() }

// covers reports whether a record of the key at this position belongs to the missing row.
func (m Missing) covers(at cdc.Position) bool {
	return m.From.Compare(at) < 0 && (m.Open() || at.Compare(m.Until) < 0)
}

// IsMissing reports whether a record without its unchanged columns belongs to a row that is known to be missing in a generation.
func (p *Partition) IsMissing(g *Generation, key []byte, at cdc.Position) bool {
	m, ok := p.Missing[string(key)]
	return ok && m.covers(at) && !g.Below(p.ID, m.From)
}
