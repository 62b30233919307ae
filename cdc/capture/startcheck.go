package capture

import (
	"cmp"
	"errors"

	"dirtbike/cdc"
)

// ErrSlotMissing is a refusal because the slot is missing or lost; it is ErrRefused or ErrGap, too.
var ErrSlotMissing = errors.New("the slot is missing")

// slotMissing is a kind of the same text that is ErrSlotMissing as well.
type slotMissing struct{ error }

func (s slotMissing) Unwrap() []error { return []error{ErrSlotMissing, s.error} }

// startCheck compares the stored state with slot, source and config; any difference that could hide a gap stops the
// start with a choice. It changes nothing.
type startCheck struct {
	o         *Options
	request   *resnapshotRequest
	state     *cdc.State
	identity  cdc.Identity
	slot      cdc.SlotStatus
	slotFound bool
}

func (c *startCheck) check() error {
	switch {
	case c.request != nil && c.slot.Active:
		return cdc.Refused("another process streams from slot %s", c.o.Slot).Keeps("Nothing was changed").
			Fix("stop the process that captures, then again; after a kill the slot stays active for up to wal_sender_timeout")
	case c.request.isForAll():
		return c.droppable()
	case c.slotFound:
		if err := c.slotFits(); err != nil {
			return err
		}
	}
	return c.stateFits()
}

// stateFits refuses a state that the slot, the source or the config does not continue.
func (c *startCheck) stateFits() error {
	if c.state.Source.Phase == cdc.PhaseNone {
		return c.nothingLost()
	}
	if err := c.sameConfig(); err != nil {
		return err
	}
	if err := sameSource(c.state, c.identity); err != nil {
		return err
	}
	if c.state.Source.Phase != cdc.PhaseCreating {
		if err := c.slotContinues(); err != nil {
			return err
		}
		if err := contained(c.state, c.identity); err != nil {
			return err
		}
	}
	return c.sameHashKeys()
}

// nothingLost refuses an empty state if the slot or the progress topic exists: then the state was lost.
func (c *startCheck) nothingLost() error {
	switch {
	case c.slotFound:
		return cdc.Gap("slot %s exists but the state topic knows nothing of it", c.o.Slot).Keeps("Nothing was read from it").
			Fix("if the state topic was lost, " + cdc.ResnapshotAllCommand).
			Fix("if this is a first start and the slot is another pipeline's, name another in source.slot")
	case c.state.HighWater.Epoch > 0:
		return cdc.Gap("the state topic knows nothing of this pipeline, but the progress topic does: the state was lost").
			Keeps("Nothing was changed; what is in Kafka and ClickHouse is safe").Fix(cdc.ResnapshotAllCommand)
	}
	return nil
}

// sameConfig refuses a state of another config, and one that two captures wrote.
func (c *startCheck) sameConfig() error {
	src, point := c.state.Source, c.state.Point
	switch {
	case src.Phase == cdc.PhaseRenewing:
		return cdc.Refused("the last %s did not get to its end", cdc.ResnapshotAllCommand).Of(slotMissing{cdc.ErrRefused}).
			Keeps("What was committed to Kafka before it is safe").Fix(cdc.ResnapshotAllCommand)
	case src.Slot != c.o.Slot:
		return cdc.Refused("the state was written with slot %s, the config names %s", src.Slot, c.o.Slot).Of(slotMissing{cdc.ErrRefused}).
			Fix("name %s in source.slot; a second pipeline needs its own kafka.prefix and clickhouse.database, too", src.Slot)
	case src.Epoch != point.Position.Epoch && src.Phase != cdc.PhaseCreating:
		return cdc.Gap("the state is of epoch %d, its point of epoch %d: two captures have written it", src.Epoch, point.Position.Epoch).
			Keeps("What is in Kafka is safe").Fix(cdc.ResnapshotAllCommand)
	case src.Partitions != c.o.Partitions:
		return cdc.Refused("the topics were made with %d partitions, the config says %d; a row's changes would move to another partition",
			src.Partitions, c.o.Partitions).Fix("kafka.partitions: %d", src.Partitions)
	}
	return nil
}

// slotContinues refuses a slot that no longer has every change after the stored point.
func (c *startCheck) slotContinues() error {
	reported := c.state.Point.Reported
	switch {
	case !c.slotFound:
		return c.gap("slot %s is gone; changes after %s cannot be read any more", c.o.Slot, reported).Of(slotMissing{cdc.ErrGap})
	case c.slot.ConfirmedFlush > reported:
		return c.gap("slot %s is at %s, but only %s is stored: it was dropped and made again, or advanced by another process",
			c.o.Slot, c.slot.ConfirmedFlush, reported)
	}
	return nil
}

// gap says that changes after the stored point are missing.
func (c *startCheck) gap(format string, args ...any) *cdc.Problem {
	return cdc.Gap(format, args...).Keeps("Everything up to %s is in Kafka", c.state.Point.Reported).Fix(cdc.ResnapshotAllCommand)
}

// droppable refuses to drop a slot that is not this pipeline's.
func (c *startCheck) droppable() error {
	if former := c.state.Source.Slot; former != "" && former != c.o.Slot {
		return cdc.Refused("the state was written with slot %s, the config names %s: the former would stay, and hold back Postgres' log", former, c.o.Slot).
			Keeps("Nothing was changed").Fix("name %s in source.slot", former)
	}
	if !c.slotFound || c.ours() {
		return nil
	}
	return c.slotFits()
}

func (c *startCheck) slotFits() error {
	name, slot := c.o.Slot, c.slot
	switch {
	case slot.Plugin == "":
		return c.otherSlot("%s is a physical slot", name)
	case slot.Plugin != "pgoutput":
		return c.otherSlot("%s uses plugin %q, not pgoutput", name, slot.Plugin)
	case slot.Database != c.identity.Database:
		return c.otherSlot("%s belongs to database %s, not %s", name, slot.Database, c.identity.Database)
	case slot.TwoPhase:
		return c.otherSlot("%s was made with two_phase on, which loses prepared transactions here (rule 5)", name)
	case slot.WALStatus == "lost" || slot.Invalidation != "":
		return cdc.Gap("slot %s was invalidated by Postgres (wal_status %s, %s); changes after %s are gone",
			name, slot.WALStatus, cmp.Or(slot.Invalidation, "no reason given"), c.state.Point.Reported).Of(slotMissing{cdc.ErrGap}).
			Keeps("Everything up to there is in Kafka").Fix("%s", cdc.LostSlotCommand(slot.Invalidation))
	}
	return nil
}

// otherSlot refuses a slot that this pipeline has not made. A pipeline that has begun keeps its slot's name, so that
// another name is a way out only before that; what took the place of its slot has to go.
func (c *startCheck) otherSlot(format string, args ...any) error {
	p := cdc.Refused("slot "+format, args...).Keeps("Nothing was read from it")
	switch former := c.state.Source.Slot; {
	case former == "":
		return p.Fix("another name in source.slot")
	case former != c.o.Slot:
		return p.Fix("name %s in source.slot", former)
	case c.ours():
		return p.Fix(cdc.ResnapshotAllCommand)
	}
	return p.Fix("if nothing needs it, SELECT pg_catalog.pg_drop_replication_slot('%s'), then %s", c.o.Slot, cdc.ResnapshotAllCommand)
}

// ours reports whether the slot can be one that a capture of this database reads.
func (c *startCheck) ours() bool {
	return c.slot.Plugin == "pgoutput" && c.slot.Database == c.identity.Database
}

func (c *startCheck) sameHashKeys() error {
	for id, stored := range c.state.Source.HashKeys {
		if now, ok := c.o.HashKeys[id]; ok && now != stored {
			return cdc.Refused("hash key %s is not the one the topics were written with (fingerprint %s, now %s); equal values would get different tokens",
				id, stored, now).Fix("put the former key back").Fix("give the new one another id under privacy.hash.keys")
		}
	}
	return nil
}

// published refuses to go on where the publication is gone: what was changed meanwhile cannot be read through a new
// one, and from Postgres 18 on the server reports no error.
func (c *startCheck) published(found bool) error {
	if found {
		return nil
	}
	return c.gap("slot %s is there, but its publication was dropped; changes after %s cannot be read any more", c.o.Slot, c.state.Point.Reported)
}
