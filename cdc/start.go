package cdc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

// start brings the session to where it can follow the log: checks, slot, encoders, first copies (rules 1, 2, 4, 9, 13, 29).
func (s *session) start(ctx context.Context) error {
	identity, err := s.Source.Identify(ctx)
	if err != nil {
		return fmt.Errorf("ask Postgres who it is: %w", err)
	}
	slot, found, err := s.Source.Slot(ctx)
	if err != nil {
		return fmt.Errorf("read slot %s: %w", s.Slot, err)
	}
	if err := s.check(identity, slot, found); err != nil {
		return err
	}
	tables, err := s.Tables.List(ctx)
	if err != nil {
		return fmt.Errorf("list the captured tables: %w", err)
	}
	if err := s.compile(ctx, tables); err != nil {
		return err
	}
	first := s.firstStart(identity)
	if !found {
		return s.create(ctx, tables)
	}
	if first {
		// state `creating` and a slot: the kill fell between the slot's creation and its consistent point's commit
		s.state.Source.ConsistentPoint = slot.ConfirmedFlush
		s.state.Point = Point{Position: Position{Epoch: s.state.Source.Epoch, CommitLSN: slot.ConfirmedFlush}, Reported: slot.ConfirmedFlush, Time: nowMicros()}
	}
	return s.resume(ctx, identity, tables)
}

// firstStart fills the source's state when there is none, or when a first start was cut short, and reports whether it is one.
func (s *session) firstStart(identity Identity) bool {
	src := &s.state.Source
	if src.Phase != PhaseNone && src.Phase != PhaseCreating {
		return false
	}
	*src = SourceState{
		Format: StateFormat, Phase: PhaseCreating, Epoch: 1, System: identity.System, Timeline: identity.Timeline,
		Database: identity.Database, Slot: s.Slot, Partitions: s.Partitions, HashKeys: s.HashKeys,
	}
	return true
}

// check compares state, slot and source; any difference that could hide a gap stops capture with the choice.
func (s *session) check(identity Identity, slot SlotStatus, found bool) error {
	src, point := &s.state.Source, &s.state.Point
	if found {
		if err := s.checkSlot(identity, slot); err != nil {
			return err
		}
	}
	switch {
	case src.Phase == PhaseNone && found:
		return fmt.Errorf("%w: slot %s exists but the state topic knows nothing of it. Nothing was read from it. Try: if the state topic was lost, drop the slot (SELECT pg_drop_replication_slot('%s')) and start with a new kafka.prefix; if the slot is somebody else's, name another in source.slot", ErrGap, s.Slot, s.Slot)
	case src.Phase == PhaseNone:
		return nil
	case src.Slot != s.Slot:
		return fmt.Errorf("%w: the state was written with slot %s, the config names %s. Try: name %s in source.slot, or a new kafka.prefix for a second pipeline", ErrRefused, src.Slot, s.Slot, src.Slot)
	case src.Partitions != s.Partitions:
		return fmt.Errorf("%w: the topics were made with %d partitions, the config says %d; a row's changes would move to another partition. Try: kafka.partitions: %d", ErrRefused, src.Partitions, s.Partitions, src.Partitions)
	case src.System != identity.System || src.Database != identity.Database:
		return fmt.Errorf("%w: the state was written for database %s of cluster %s, this is %s of %s; the log positions have no meaning here. Try: connect to the former cluster, or start anew with another kafka.prefix and source.slot", ErrGap, src.Database, src.System, identity.Database, identity.System)
	case src.Phase == PhaseCreating:
		return s.checkHashKeys()
	case !found:
		return fmt.Errorf("%w: slot %s is gone; changes after %s cannot be read any more. Everything up to there is in Kafka. Try: start anew with another kafka.prefix", ErrGap, s.Slot, point.Reported)
	case slot.ConfirmedFlush > point.Reported:
		return fmt.Errorf("%w: slot %s stands at %s, but only %s is stored: it was dropped and made again, or advanced by somebody else. Everything up to %s is in Kafka. Try: start anew with another kafka.prefix", ErrGap, s.Slot, slot.ConfirmedFlush, point.Reported, point.Reported)
	}
	if err := s.checkHistory(identity); err != nil {
		return err
	}
	return s.checkHashKeys()
}

func (s *session) checkSlot(identity Identity, slot SlotStatus) error {
	switch {
	case slot.Plugin != "pgoutput":
		return fmt.Errorf("%w: slot %s uses plugin %s, not pgoutput. Try: another name in source.slot", ErrRefused, s.Slot, slot.Plugin)
	case slot.Database != identity.Database:
		return fmt.Errorf("%w: slot %s belongs to database %s, not %s. Try: another name in source.slot", ErrRefused, s.Slot, slot.Database, identity.Database)
	case slot.TwoPhase:
		return fmt.Errorf("%w: slot %s was made with two_phase on, which loses prepared transactions here (rule 5). Try: another name in source.slot", ErrRefused, s.Slot)
	case slot.WALStatus == "lost" || slot.Invalidation != "":
		return fmt.Errorf("%w: slot %s was invalidated by Postgres (wal_status %s %s); changes after %s are gone. Everything up to there is in Kafka. Try: start anew with another kafka.prefix and a larger max_slot_wal_keep_size", ErrGap, s.Slot, slot.WALStatus, slot.Invalidation, s.state.Point.Reported)
	}
	return nil
}

// checkHistory refuses a source whose log does not contain the stored position (rule 1).
func (s *session) checkHistory(identity Identity) error {
	src, point := &s.state.Source, &s.state.Point
	if identity.Timeline != src.Timeline {
		for _, sw := range identity.Switches {
			if sw.Timeline >= src.Timeline && point.Reported > sw.At {
				return fmt.Errorf("%w: after a failover the server left timeline %d at %s, but %s is already in Kafka: the new primary does not have those changes. Try: start anew with another kafka.prefix", ErrGap, sw.Timeline, sw.At, point.Reported)
			}
		}
	}
	if identity.Flushed < point.Reported {
		return fmt.Errorf("%w: the server's log ends at %s, before the stored %s: it was restored from an older copy. Try: start anew with another kafka.prefix", ErrGap, identity.Flushed, point.Reported)
	}
	return nil
}

func (s *session) checkHashKeys() error {
	for id, stored := range s.state.Source.HashKeys {
		if now, ok := s.HashKeys[id]; ok && now != stored {
			return fmt.Errorf("%w: hash key %s is not the one the topics were written with (fingerprint %s, now %s); equal values would get different tokens. Try: put the former key back, or give the new one another id under privacy.hash.keys", ErrRefused, id, stored, now)
		}
	}
	return nil
}

// compile makes topics and encoders for all tables, and lays the stored state beside them.
func (s *session) compile(ctx context.Context, tables []*Table) error {
	if s.state.Tables == nil {
		s.state.Tables = map[string]TableState{}
	}
	for _, t := range tables {
		stored, known := s.state.Tables[t.FullName()]
		if known && stored.Phase != TableExcluded {
			if err := checkPrints(t, stored); err != nil {
				return err
			}
		}
		if err := s.Sink.EnsureTopic(ctx, t.Topic); err != nil {
			return fmt.Errorf("topic %s: %w", t.Topic.Name, err)
		}
		encoder, err := s.Tables.Encoder(ctx, t)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.FullName(), err)
		}
		live := &liveTable{Table: t, encoder: encoder, state: stored}
		if known && stored.OID != t.OID && stored.Phase != TableExcluded {
			live.state.Phase, live.state.Reason = TableQuarantined, "the table was dropped and made again: its changes in between are unknown"
			s.Log.Error("table quarantined", zap.String("table", t.FullName()), zap.String("reason", live.state.Reason))
		}
		s.live[t.OID] = live
	}
	return nil
}

func checkPrints(t *Table, stored TableState) error {
	switch {
	case stored.PolicyPrint != t.PolicyPrint:
		return fmt.Errorf("%w: the privacy policy of %s has changed since its rows were written; mixing both would be neither private nor exact. Try: put the former policy back, or start anew with another kafka.prefix", ErrRefused, t.FullName())
	case stored.KeyPrint != t.KeyPrint:
		return fmt.Errorf("%w: the key of %s has changed since its rows were written. Try: put the former key back, or start anew with another kafka.prefix", ErrRefused, t.FullName())
	case stored.Topic != t.Topic.Name:
		return fmt.Errorf("%w: %s was written to topic %s, now it would be %s. Try: put kafka.prefix back", ErrRefused, t.FullName(), stored.Topic, t.Topic.Name)
	}
	return nil
}

// create is the first start (rule 4): state `creating` and the open markers, publication, slot, consistent point, copies.
func (s *session) create(ctx context.Context, tables []*Table) error {
	s.Log.Info("first start: creating publication and slot", zap.String("slot", s.Slot), zap.Int("tables", len(tables)))
	if err := s.open(ctx, slices.Collect(maps.Values(s.live))); err != nil {
		return err
	}
	if err := s.Source.EnsurePublication(ctx, tables); err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	snapshot, err := s.Source.CreateSlot(ctx)
	if err != nil {
		return fmt.Errorf("create slot %s: %w", s.Slot, err)
	}
	defer func() { _ = snapshot.Close(context.WithoutCancel(ctx)) }() // its connection ends either way
	point := snapshot.Point()
	s.state.Source.ConsistentPoint, s.state.Source.Phase = point, PhaseCopying
	s.state.Point = Point{Position: Position{Epoch: s.state.Source.Epoch, CommitLSN: point}, Reported: point, Time: nowMicros()}
	if err := s.pipe.commitNow(ctx, nil, s.state.Point, s.state.Source); err != nil {
		return err
	}
	return s.copyAll(ctx, snapshot, s.uncopied())
}

// resume goes on with a slot that is there: tables whose copy did not end, and new ones, get a new generation from a
// temporary slot's snapshot (rule 13); the main slot streams from where it stood.
func (s *session) resume(ctx context.Context, identity Identity, tables []*Table) error {
	changed := s.excludeUnnamed()
	if s.state.Source.Timeline != identity.Timeline || s.state.Source.Phase == PhaseCreating {
		s.state.Source.Timeline = identity.Timeline
		if s.state.Source.Phase == PhaseCreating {
			s.state.Source.Phase = PhaseCopying
		}
	}
	if err := s.Source.EnsurePublication(ctx, tables); err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	if err := s.pipe.commitNow(ctx, nil, s.state.Point, append(changed, s.state.Source)...); err != nil {
		return err
	}
	again := s.uncopied()
	if len(again) == 0 {
		return s.endCopying(ctx)
	}
	if err := s.open(ctx, again); err != nil {
		return err
	}
	snapshot, err := s.Source.TemporarySnapshot(ctx)
	if err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	defer func() { _ = snapshot.Close(context.WithoutCancel(ctx)) }() // its connection ends either way
	return s.copyAll(ctx, snapshot, again)
}

// excludeUnnamed marks tables of the state that the config no longer names, and keeps quarantines found at compile.
func (s *session) excludeUnnamed() []StateChange {
	named := map[string]bool{}
	var changed []StateChange
	for _, t := range s.live {
		named[t.FullName()] = true
		if t.quarantined() && s.state.Tables[t.FullName()].Phase != TableQuarantined {
			changed = append(changed, t.state)
		}
	}
	for name, t := range s.state.Tables {
		if !named[name] && t.Phase != TableExcluded {
			t.Phase = TableExcluded
			s.state.Tables[name] = t
			changed = append(changed, t)
		}
	}
	return changed
}

// uncopied lists the tables whose present generation has not ended.
func (s *session) uncopied() []*liveTable {
	var out []*liveTable
	for _, t := range s.live {
		switch t.state.Phase {
		case "", TableCopying, TableExcluded:
			out = append(out, t)
		case TableStreaming, TableQuarantined:
		}
	}
	slices.SortFunc(out, func(a, b *liveTable) int { return int(b.EstimatedRows - a.EstimatedRows) })
	return out
}

// open begins a new generation of each table: its open markers and its state are one transaction, committed before the snapshot is taken.
func (s *session) open(ctx context.Context, tables []*liveTable) error {
	c, err := s.pipe.pool.get(ctx)
	if err != nil {
		return err
	}
	changed := []StateChange{s.state.Source}
	for _, t := range tables {
		t.state = TableState{
			Format: StateFormat, Schema: t.Schema, Table: t.Name, OID: t.OID, Topic: t.Topic.Name, Phase: TableCopying,
			Generation: t.state.Generation + 1, KeyPrint: t.KeyPrint, PolicyPrint: t.PolicyPrint,
		}
		meta := Meta{Position: s.state.Point.Position, Generation: t.state.Generation, CommitTime: s.state.Point.Time, Now: nowMicros()}
		meta.Position.Epoch, meta.Position.Ordinal = s.state.Source.Epoch, 0
		if err := t.encoder.OpenGeneration(c, &meta); err != nil {
			return fmt.Errorf("open generation %d of %s: %w", t.state.Generation, t.FullName(), err)
		}
		changed = append(changed, t.state)
		s.status.table(t, 0)
	}
	return s.pipe.commitNow(ctx, c, s.state.Point, changed...)
}

func nowMicros() int64 { return time.Now().UnixMicro() }
