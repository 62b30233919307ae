package preflight

import (
	"context"
	"errors"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
)

const slotSlug = "postgres-slot"

// checkSlot checks whether the slot is ours; the start's own checks say whether it fits the stored state.
func (r *run) checkSlot(ctx context.Context, p *part, s *server) {
	slot, found, err := r.trial.Source.Slot(ctx)
	name := r.config.Source.Slot
	switch {
	case err != nil:
		p.error(slotSlug, name, serverError(err))
	case !found:
		r.note(func(l *combined) { l.slotMissing = true }) // what that means, the stored state says
	case lost(slot):
		r.note(func(l *combined) { l.slotLost = true })
	case slot.WALStatus == "unreserved":
		p.warn(slotSlug, name, keepSQL(max(s.proposedMB(), 2*s.KeepMB)),
			"it holds more than max_slot_wal_keep_size and is lost at the next checkpoint. Start capture, and give it more")
	case slot.Active:
		p.ok(slotSlug, name, "a capture reads it, up to %s", slot.ConfirmedFlush)
	default:
		p.ok(slotSlug, name, "it is there, at %s, and no capture reads it", slot.ConfirmedFlush)
	}
}

// combined holds the findings that need answers of several parts.
type combined struct {
	// slotMissing and slotLost are what Postgres says: there is none, or one whose log is gone.
	slotMissing, slotLost bool
	// known says that the stored state could be read; phase is its own.
	known bool
	phase cdc.Phase
	// refusal is why a start would be refused for its slot; passed says that no start check refuses.
	refusal error
	passed  bool
	// misnamed says that a start would be refused for a name in the config that matches nothing.
	misnamed bool
}

// note changes the combined findings, or reads them.
func (r *run) note(at func(*combined)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at(&r.combined)
}

// begun reports whether a state is stored that goes on from a slot: without it changes are missing.
func begun(phase cdc.Phase) bool { return phase != cdc.PhaseNone && phase != cdc.PhaseCreating }

// wants reports whether a start is refused because its slot is missing or lost.
func wants(state *cdc.State, slot cdc.SlotStatus, found bool, err error) bool {
	return errors.Is(err, capture.ErrSlotMissing) && (!found && begun(state.Source.Phase) || found && lost(slot))
}

func lost(slot cdc.SlotStatus) bool { return slot.WALStatus == "lost" || slot.Invalidation != "" }

// judgeMissingSlot says what a missing or unusable slot means, once all parts have been checked.
func (r *run) judgeMissingSlot(p *part) {
	name := r.config.Source.Slot
	r.note(func(l *combined) {
		switch {
		case l.refusal != nil:
			p.error(slotSlug, name, l.refusal)
		case l.slotLost:
			p.fail(slotSlug, name, "raise max_slot_wal_keep_size, then "+cdc.ResnapshotAllCommand+"; if the slot is another pipeline's, name another in source.slot",
				"Postgres has given up its log, so that changes are missing")
		case !l.slotMissing:
		case l.passed && begun(l.phase):
			p.ok(slotSlug, name, "it was made while this was checked")
		case !l.known:
			p.ok(slotSlug, name, "it is not there. A first start makes it; whether this would be one, the stored state says, which could not be read")
		case begun(l.phase):
			p.fail(slotSlug, name, cdc.ResnapshotAllCommand,
				"it is gone, and the stored state (phase %s) goes on from it: what was changed since then cannot be read any more", l.phase)
		default:
			p.ok(slotSlug, name, "it is not there; dirtbike makes it at the first start")
		}
	})
}
