package apply

import "dirtbike/cdc"

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
	if len(p.Missing) == 0 {
		return false
	}
	from, ok := p.Missing[string(key)]
	if !ok || from.Compare(at) >= 0 {
		return false
	}
	delete(p.Missing, string(key))
	return true
}

// FoundBelow forgets the missing rows from below the cut of a TRUNCATE, and lists their keys.
func (p *Partition) FoundBelow(cut cdc.Position) (keys []string) {
	for _, key := range SortedKeys(p.Missing) {
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
