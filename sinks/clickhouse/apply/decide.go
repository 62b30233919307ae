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
	Skip         Action = iota // the record does not count there
	Append                     // the row
	AppendDelete               // a deleted row
	Complete                   // columns are taken from the key's row before (rule 17)
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

// Fate is what becomes of a record that takes columns from its base.
type Fate int

// The fates.
const (
	Fits       Fate = iota // the row before is there
	Drop                   // nothing is missing without the record
	Outgrow                // the generation gets no more changes: rows may be missing from it, which is why there is a newer copy
	Quarantine             // a row is missing, and it is not known why
)

// Waiting is what must be known of a record when it was taken, to decide on it when its base turns out not to be there.
type Waiting struct {
	Ended   bool // its partition had passed the generation's end
	Missing bool // its row was known to be missing
}

// OfBase decides by the newest row of the record's key; the zero Ref is none. One that is not older makes the record a
// replay. One that is deleted, or hidden by a TRUNCATE, is no base.
//
// Before the generation's end its own copy of the row is still to come; a row that a TRUNCATE hides anyway, or that is
// known to be missing, needs no base. newest is the newest generation opened on the partition in the batch or before:
// its open is in ClickHouse before the record counts as applied.
func OfBase(w Waiting, at *cdc.Meta, base block.Ref, cuts Cuts, generation, newest uint32) Fate {
	there := base.Block != nil
	switch {
	case there && at.Position.Compare(base.Version()) <= 0:
		return Drop
	case there && !base.Deleted() && !cuts.Hide(base.Version(), base.Leaf()):
		return Fits
	case !w.Ended, w.Missing, cuts.Hide(at.Position, at.Leaf):
		return Drop
	case generation < newest:
		return Outgrow
	}
	return Quarantine
}
