package capture

import "dirtbike/cdc"

// CheckHistory refuses, with ErrGap, a source whose log is not the one that the state was written from, as a start of
// capture would. The state must have been read before the source was asked.
func CheckHistory(state *cdc.State, identity cdc.Identity) error {
	switch state.Source.Phase {
	case cdc.PhaseNone, cdc.PhaseCreating, cdc.PhaseRenewing:
		return nil // no position of it is believed
	case cdc.PhaseCopying, cdc.PhaseStreaming:
	}
	if err := sameSource(state, identity); err != nil {
		return err
	}
	return contained(state, identity)
}

// sameSource refuses another cluster or database.
func sameSource(state *cdc.State, identity cdc.Identity) error {
	src := state.Source
	if src.System == identity.System && src.Database == identity.Database {
		return nil
	}
	return cdc.Gap("the state was written for database %s of cluster %s, this is %s of %s; log positions of one mean nothing in the other",
		src.Database, src.System, identity.Database, identity.System).Fix("connect to the former cluster").Fix(cdc.ResnapshotAllCommand)
}

// contained refuses a server whose log does not contain the stored position (rule 1). Of a split transaction a part may
// be stored that lies beyond what is reported.
func contained(state *cdc.State, identity cdc.Identity) error {
	reach := state.Point.Reported
	if state.Point.Partial {
		reach = max(reach, state.Point.Position.CommitLSN+1)
	}
	if identity.Timeline != state.Source.Timeline {
		if err := onTimeline(state.Source.Timeline, identity, reach); err != nil {
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
func onTimeline(stored uint32, identity cdc.Identity, reach cdc.LSN) error {
	known := false
	for _, sw := range identity.Switches {
		known = known || sw.Timeline == stored
		if sw.Timeline >= stored && reach > sw.At {
			return cdc.Gap("after a failover the server left timeline %d at %s, but %s is already in Kafka: the new primary does not have those changes",
				sw.Timeline, sw.At, reach).Fix(cdc.ResnapshotAllCommand)
		}
	}
	if known {
		return nil
	}
	return cdc.Gap("the server is on timeline %d, whose history does not hold timeline %d of the stored %s: it was restored or promoted from an older copy",
		identity.Timeline, stored, reach).Keeps("Everything up to there is in Kafka").Fix("connect to the former server").Fix(cdc.ResnapshotAllCommand)
}
