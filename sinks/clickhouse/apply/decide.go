package apply

import (
	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/block"
)

// Goals lists the generations that a change on the partition goes to, newest first: the newest one opened on the
// partition, the one that the view shows, and those between that have ended here, because another loader, or this one
// after the batch, may show them. An older one that is outgrown gets none: the table is not exact until a newer one is
// shown. A change below a generation's cut does not go to it (Below). Empty if none was opened yet.
func Goals(p *Partition) (goals []*Generation) {
	if p.Newest == 0 {
		return nil
	}
	shown := p.Topic.Shown
	newest := max(p.Newest, shown) // shown: it was opened on every partition
	for n := newest; n >= max(shown, 1); n-- {
		g := p.Topic.Generation(n)
		if n == newest || (n == shown || g.Ended(p.ID)) && !g.Outgrown {
			goals = append(goals, g)
		}
	}
	return goals
}

// Action is what becomes of a record in one generation.
type Action int

// The actions.
const (
	// Skip: the record does not count there.
	Skip Action = iota
	// Append the row.
	Append
	// AppendDelete: a deleted row.
	AppendDelete
	// Complete: columns are taken from the key's row before (rule 17).
	Complete
)

// OfChange decides on a c, u or d record in a generation whose cut on the partition is given, the zero position where
// it has not ended.
func OfChange(e *avro.Envelope, cut cdc.Position) Action {
	switch {
	case e.Meta.Position.Compare(cut) < 0:
		return Skip
	case e.Op == cdc.OpDelete:
		return AppendDelete
	case len(e.Unchanged) > 0:
		return Complete
	}
	return Append
}

// Base is what becomes of a record that takes columns from its base.
type Base int

// What can be found out about a base.
const (
	// BaseFits: the row before is there.
	BaseFits Base = iota
	// BaseNewer: a replay; what is there is newer than the record, or this very row.
	BaseNewer
	// BaseLost: the row before is deleted, or hidden by a TRUNCATE.
	BaseLost
)

// OfBase judges the newest row of a record's key.
func OfBase(at cdc.Position, base block.Ref, cuts Cuts) Base {
	switch {
	case at.Compare(base.Version()) <= 0:
		return BaseNewer
	case base.Deleted() || cuts.Hide(base.Version(), base.Leaf()):
		return BaseLost
	}
	return BaseFits
}

// Lost is what becomes of a record whose base is not there.
type Lost int

// The ways out.
const (
	// Drop the record: nothing is missing because of it.
	Drop Lost = iota
	// Outgrow: the generation gets no more changes, since rows may be missing from it, which is why there is a newer
	// copy.
	Outgrow
	// Quarantine the table: a row is missing, and nobody knows why.
	Quarantine
)

// Waiting is what must be known of a record when it was taken, to decide on it when its base turns out not to be there.
type Waiting struct {
	// Ended says that its partition had passed the generation's end.
	Ended bool
	// Missing says that its row was known to be missing.
	Missing bool
}

// OfLost decides on a record whose base is not there. Before the generation's end its own copy of the row is still to
// come; a row that a TRUNCATE hides anyway, or that is known to be missing, needs no base. newest is the newest
// generation opened on the partition in the batch or before: its open is in ClickHouse before the record counts as
// applied.
func OfLost(w Waiting, at *cdc.Meta, cuts Cuts, generation, newest uint32) Lost {
	switch {
	case !w.Ended, w.Missing, cuts.Hide(at.Position, at.Leaf):
		return Drop
	case generation < newest:
		return Outgrow
	}
	return Quarantine
}
