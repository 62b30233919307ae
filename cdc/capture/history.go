package capture

import "dirtbike/cdc"

// history is what the state says of the log that its point belongs to.
type history struct {
	source cdc.SourceState
	point  cdc.Point
}

// CheckHistory refuses, with ErrGap, a source whose log is not the one that the state was written from, as a start of
// capture would. The state must have been read before the source was asked.
func CheckHistory(state *cdc.State, identity cdc.Identity) error {
	switch state.Source.Phase {
	case cdc.PhaseNone, cdc.PhaseCreating, cdc.PhaseRenewing:
		return nil // no position of it is believed
	case cdc.PhaseCopying, cdc.PhaseStreaming:
	}
	h := history{state.Source, state.Point}
	if err := h.sameSource(identity); err != nil {
		return err
	}
	return h.contained(identity)
}

// sameSource refuses another cluster or database.
func (h history) sameSource(identity cdc.Identity) error {
	if h.source.System == identity.System && h.source.Database == identity.Database {
		return nil
	}
	return cdc.Gap("the state was written for database %s of cluster %s, this is %s of %s; log positions of one mean nothing in the other",
		h.source.Database, h.source.System, identity.Database, identity.System).
		Fix("connect to the former cluster").Fix(cdc.ResnapshotAllCommand)
}

// reach is how far the changes in Kafka reach: part of a split transaction may lie beyond what is reported.
func (h history) reach() cdc.LSN {
	if h.point.Partial {
		return max(h.point.Reported, h.point.Position.CommitLSN+1)
	}
	return h.point.Reported
}

// contained refuses a server whose log does not contain the stored position (rule 1).
func (h history) contained(identity cdc.Identity) error {
	reach := h.reach()
	if identity.Timeline != h.source.Timeline {
		if err := h.onTimeline(identity, reach); err != nil {
			return err
		}
	}
	if identity.Flushed < reach {
		return cdc.Gap("the server's log ends at %s, before the stored %s: it was restored from an older copy", identity.Flushed, reach).
			Fix(cdc.ResnapshotAllCommand)
	}
	return nil
}

// onTimeline refuses a server that left the stored timeline before the stored position, or was never on it.
func (h history) onTimeline(identity cdc.Identity, reach cdc.LSN) error {
	known := false
	for _, sw := range identity.Switches {
		known = known || sw.Timeline == h.source.Timeline
		if sw.Timeline >= h.source.Timeline && reach > sw.At {
			return cdc.Gap("after a failover the server left timeline %d at %s, but %s is already in Kafka: the new primary does not have those changes",
				sw.Timeline, sw.At, reach).Fix(cdc.ResnapshotAllCommand)
		}
	}
	if known {
		return nil
	}
	return cdc.Gap("the server is on timeline %d, whose history does not hold timeline %d of the stored %s: it was restored or promoted from an older copy",
		identity.Timeline, h.source.Timeline, reach).
		Keeps("Everything up to there is in Kafka").Fix("connect to the former server").Fix(cdc.ResnapshotAllCommand)
}
