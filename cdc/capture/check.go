package capture

import (
	"cmp"
	"dirtbike/cdc"
	"fmt"
)

// check compares state, slot and source; any difference that could hide a gap stops capture with the choice.
func (s *session) check(identity cdc.Identity, slot cdc.SlotStatus, found bool) error {
	if s.task != nil && (slot.Active || slot.Copying) {
		return s.inUse()
	}
	if s.task.renews() {
		return s.checkOwn(identity, slot, found)
	}
	if found {
		if err := s.checkSlot(identity, slot); err != nil {
			return err
		}
	}
	return s.checkState(identity, slot, found)
}

// checkState refuses a state that the slot, the source or the config does not continue.
func (s *session) checkState(identity cdc.Identity, slot cdc.SlotStatus, found bool) error {
	src, point := &s.state.Source, &s.state.Point
	switch {
	case src.Phase == cdc.PhaseNone && found:
		return fmt.Errorf("%w: slot %s exists but the state topic knows nothing of it. Nothing was read from it. Try: if the state topic was lost, "+cdc.ResnapshotAllCommand+"; if this is a first start and the slot is another pipeline's, name another in source.slot", cdc.ErrGap, s.Slot)
	case src.Phase == cdc.PhaseNone && s.state.HighWater.Epoch > 0:
		return fmt.Errorf("%w: the state topic knows nothing of this pipeline, but the progress topic does: the state was lost. Nothing was changed; what is in Kafka and ClickHouse is safe. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap)
	case src.Phase == cdc.PhaseNone:
		return nil
	case src.Phase == cdc.PhaseRenewing:
		return fmt.Errorf("%w: the last dirtbike resnapshot --all did not get to its end. What was committed to Kafka before it is safe. Try: "+cdc.ResnapshotAllCommand, cdc.ErrRefused)
	case src.Slot != s.Slot:
		return fmt.Errorf("%w: the state was written with slot %s, the config names %s. Try: name %s in source.slot; a second pipeline needs its own kafka.prefix and clickhouse.database, too", cdc.ErrRefused, src.Slot, s.Slot, src.Slot)
	case src.Epoch != point.Position.Epoch && src.Phase != cdc.PhaseCreating:
		return fmt.Errorf("%w: the state is of epoch %d, its point of epoch %d: two captures have written it. What is in Kafka is safe. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, src.Epoch, point.Position.Epoch)
	case src.Partitions != s.Partitions:
		return fmt.Errorf("%w: the topics were made with %d partitions, the config says %d; a row's changes would move to another partition. Try: kafka.partitions: %d", cdc.ErrRefused, src.Partitions, s.Partitions, src.Partitions)
	case s.otherSystem(identity) != nil:
		return s.otherSystem(identity)
	case src.Phase == cdc.PhaseCreating:
		return s.checkHashKeys()
	case !found:
		return fmt.Errorf("%w: slot %s is gone; changes after %s cannot be read any more. Everything up to there is in Kafka. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, s.Slot, point.Reported)
	case slot.ConfirmedFlush > point.Reported:
		return fmt.Errorf("%w: slot %s stands at %s, but only %s is stored: it was dropped and made again, or advanced by somebody else. Everything up to %s is in Kafka. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, s.Slot, slot.ConfirmedFlush, point.Reported, point.Reported)
	}
	if err := s.checkHistory(identity); err != nil {
		return err
	}
	return s.checkHashKeys()
}

// checkOwn refuses to drop a slot that is not ours.
func (s *session) checkOwn(identity cdc.Identity, slot cdc.SlotStatus, found bool) error {
	if former := s.state.Source.Slot; former != "" && former != s.Slot {
		return fmt.Errorf("%w: the state was written with slot %s, the config names %s: the former would stay, and hold back Postgres' log. Nothing was changed. Try: name %s in source.slot", cdc.ErrRefused, former, s.Slot, former)
	}
	if !found || slot.Plugin == "pgoutput" && slot.Database == identity.Database {
		return nil
	}
	return s.checkSlot(identity, slot)
}

func (s *session) checkSlot(identity cdc.Identity, slot cdc.SlotStatus) error {
	switch {
	case slot.Plugin == "":
		return fmt.Errorf("%w: slot %s is a physical slot. Try: another name in source.slot", cdc.ErrRefused, s.Slot)
	case slot.Plugin != "pgoutput":
		return fmt.Errorf("%w: slot %s uses plugin %q, not pgoutput. Try: another name in source.slot", cdc.ErrRefused, s.Slot, slot.Plugin)
	case slot.Database != identity.Database:
		return fmt.Errorf("%w: slot %s belongs to database %s, not %s. Try: another name in source.slot", cdc.ErrRefused, s.Slot, slot.Database, identity.Database)
	case slot.TwoPhase:
		return fmt.Errorf("%w: slot %s was made with two_phase on, which loses prepared transactions here (rule 5). Try: another name in source.slot", cdc.ErrRefused, s.Slot)
	case slot.WALStatus == "lost" || slot.Invalidation != "":
		return fmt.Errorf("%w: slot %s was invalidated by Postgres (wal_status %s, %s); changes after %s are gone. Everything up to there is in Kafka. Try: raise max_slot_wal_keep_size, then "+cdc.ResnapshotAllCommand, cdc.ErrGap, s.Slot, slot.WALStatus, cmp.Or(slot.Invalidation, "no reason given"), s.state.Point.Reported)
	}
	return nil
}

func (s *session) otherSystem(identity cdc.Identity) error {
	src := &s.state.Source
	if src.System == identity.System && src.Database == identity.Database {
		return nil
	}
	return fmt.Errorf("%w: the state was written for database %s of cluster %s, this is %s of %s; the log positions have no meaning here. Try: connect to the former cluster, or "+cdc.ResnapshotAllCommand, cdc.ErrGap, src.Database, src.System, identity.Database, identity.System)
}

// CheckHistory refuses, with ErrGap, a source whose log is not the one that the state was written from, as a start of capture would.
// The state must have been read before the source was asked.
func CheckHistory(state *cdc.State, identity cdc.Identity) error {
	switch state.Source.Phase {
	case cdc.PhaseNone, cdc.PhaseCreating, cdc.PhaseRenewing:
		return nil // no position of it is believed
	case cdc.PhaseCopying, cdc.PhaseStreaming:
	}
	s := &session{state: state}
	if err := s.otherSystem(identity); err != nil {
		return err
	}
	return s.checkHistory(identity)
}

// reach is how far the changes in Kafka reach: part of a split transaction may lie beyond what is reported.
func (s *session) reach() cdc.LSN {
	point := &s.state.Point
	if point.Partial {
		return max(point.Reported, point.Position.CommitLSN+1)
	}
	return point.Reported
}

// checkHistory refuses a source whose log does not contain the stored position (rule 1).
func (s *session) checkHistory(identity cdc.Identity) error {
	src, reach := &s.state.Source, s.reach()
	if identity.Timeline != src.Timeline {
		known := false
		for _, sw := range identity.Switches {
			known = known || sw.Timeline == src.Timeline
			if sw.Timeline >= src.Timeline && reach > sw.At {
				return fmt.Errorf("%w: after a failover the server left timeline %d at %s, but %s is already in Kafka: the new primary does not have those changes. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, sw.Timeline, sw.At, reach)
			}
		}
		if !known {
			return fmt.Errorf("%w: the server is on timeline %d, whose history does not hold timeline %d of the stored %s: it was restored or promoted from an older copy. Everything up to there is in Kafka. Try: connect to the former server, or "+cdc.ResnapshotAllCommand, cdc.ErrGap, identity.Timeline, src.Timeline, reach)
		}
	}
	if identity.Flushed < reach {
		return fmt.Errorf("%w: the server's log ends at %s, before the stored %s: it was restored from an older copy. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, identity.Flushed, reach)
	}
	return nil
}

func (s *session) checkHashKeys() error {
	for id, stored := range s.state.Source.HashKeys {
		if now, ok := s.HashKeys[id]; ok && now != stored {
			return fmt.Errorf("%w: hash key %s is not the one the topics were written with (fingerprint %s, now %s); equal values would get different tokens. Try: put the former key back, or give the new one another id under privacy.hash.keys", cdc.ErrRefused, id, stored, now)
		}
	}
	return nil
}

// checkPublication refuses to go on where the publication is gone: what was changed meanwhile cannot be read through a new one,
// and from Postgres 18 on the server says nothing of it.
func (s *session) checkPublication(found bool) error {
	if found {
		return nil
	}
	return fmt.Errorf("%w: slot %s is there, but its publication was dropped; changes after %s cannot be read any more. Everything up to there is in Kafka. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, s.Slot, s.state.Point.Reported)
}
