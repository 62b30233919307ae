package capture

import (
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"
)

// start brings the session to where it can follow the log: checks, slot, encoders, first copies (rules 1, 2, 4, 9, 13, 29).
func (s *session) start(ctx context.Context) error {
	slot, found, err := s.slot(ctx)
	if err != nil {
		return err
	}
	identity, tables, first, err := s.survey(ctx, slot, found)
	if err != nil {
		return err
	}
	if tables, err = s.compile(ctx, tables); err != nil {
		return err
	}
	if s.task.renews() {
		return s.renew(ctx, tables, found)
	}
	if !found {
		return s.create(ctx, tables)
	}
	if first {
		// state `creating` and a slot: the kill fell between the slot's creation and its consistent point's commit
		s.state.Source.ConsistentPoint = slot.ConfirmedFlush
		s.state.Point = cdc.Point{Position: cdc.Position{Epoch: s.state.Source.Epoch, CommitLSN: slot.ConfirmedFlush}, Reported: slot.ConfirmedFlush, Time: nowMicros()}
	}
	return s.resume(ctx, identity, tables)
}

func (s *session) slot(ctx context.Context) (slot cdc.SlotStatus, found bool, err error) {
	if slot, found, err = s.Source.Slot(ctx); err != nil {
		err = fmt.Errorf("read slot %s: %w", s.Slot, err)
	}
	return slot, found, err
}

// survey asks the source who it is and which tables it has, and refuses what does not fit the state; first says that it is a first
// start, or one that was cut short.
func (s *session) survey(ctx context.Context, slot cdc.SlotStatus, found bool) (identity cdc.Identity, tables []*cdc.Table, first bool, err error) {
	if identity, err = s.Source.Identify(ctx); err != nil {
		return identity, nil, false, fmt.Errorf("ask Postgres who it is: %w", err)
	}
	if err := s.check(identity, slot, found); err != nil {
		return identity, nil, false, err
	}
	if tables, err = s.Tables.List(ctx); err != nil {
		return identity, nil, false, fmt.Errorf("list the captured tables: %w", err)
	}
	first = s.firstStart(identity)
	return identity, tables, first, s.admit(identity, tables)
}

// published gives what publishes each of the tables; a publication that is gone is refused.
func (s *session) published(ctx context.Context, tables []*cdc.Table) (map[uint32]cdc.PublishedBy, error) {
	found, members, err := s.Source.Published(ctx, tables)
	if err != nil {
		return nil, fmt.Errorf("publication: %w", err)
	}
	return members, s.checkPublication(found)
}

// firstStart fills the source's state when there is none, or when a first start was cut short, and reports whether it is one.
func (s *session) firstStart(identity cdc.Identity) bool {
	src := &s.state.Source
	epoch := max(src.Epoch, 1) // a renewed pipeline keeps its own
	switch {
	case s.task.renews():
		epoch = s.nextEpoch()
	case src.Phase != cdc.PhaseNone && src.Phase != cdc.PhaseCreating:
		return false
	}
	*src = cdc.SourceState{
		Format: cdc.StateFormat, Phase: cdc.PhaseCreating, Epoch: epoch, System: identity.System, Timeline: identity.Timeline,
		Database: identity.Database, Slot: s.Slot, Partitions: s.Partitions, HashKeys: s.HashKeys,
	}
	return true
}

// create is the first start (rule 4): state `creating` and the open markers, publication, slot, consistent point, copies.
func (s *session) create(ctx context.Context, tables []*cdc.Table) error {
	s.first = true
	s.Log.Info("first start: creating publication and slot", zap.String("slot", s.Slot), zap.Int("tables", len(tables)))
	if err := s.open(ctx, s.uncopied(), s.excludeUnnamed()); err != nil {
		return err
	}
	return s.build(ctx, tables)
}

// build makes publication and slot behind the open markers, and copies the tables.
func (s *session) build(ctx context.Context, tables []*cdc.Table) error {
	if err := s.Source.EnsurePublication(ctx, tables); err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	if err := s.noteMembers(ctx, s.uncopied()); err != nil {
		return err
	}
	snapshot, err := s.Source.CreateSlot(ctx)
	if err != nil {
		return fmt.Errorf("create slot %s: %w", s.Slot, err)
	}
	defer func() { _ = snapshot.Close(context.WithoutCancel(ctx)) }() // its connection ends either way
	point := snapshot.Point()
	s.state.Source.ConsistentPoint, s.state.Source.Phase = point, cdc.PhaseCopying
	s.state.Point = cdc.Point{Position: cdc.Position{Epoch: s.state.Source.Epoch, CommitLSN: point}, Reported: point, Time: nowMicros()}
	if err := s.commitNow(ctx, s.state.Source); err != nil {
		return err
	}
	return s.copyAll(ctx, snapshot, s.uncopied())
}

// resume goes on with a slot that is there: tables whose copy did not end, and new ones, get a new generation from a
// temporary slot's snapshot (rule 13); the main slot streams from where it stood.
func (s *session) resume(ctx context.Context, identity cdc.Identity, tables []*cdc.Table) error {
	members, err := s.published(ctx, tables)
	if err != nil {
		return err
	}
	first := s.state.Source.Phase == cdc.PhaseCreating
	changed := append(append(s.excludeUnnamed(), s.settleMembers(members)...), s.settleColumns()...)
	s.state.Source.Timeline = identity.Timeline
	s.state.Source.HashKeys = s.mergedHashKeys()
	if first || len(s.uncopied()) > 0 {
		s.state.Source.Phase = cdc.PhaseCopying
	}
	if err := s.commitNow(ctx, append(changed, s.state.Source)...); err != nil {
		return err
	}
	if err := s.publish(ctx, tables, members, first); err != nil {
		return err
	}
	again := s.uncopied()
	if len(again) == 0 {
		return s.endCopying(ctx)
	}
	if err := s.open(ctx, again, nil); err != nil {
		return err
	}
	if err := s.noteMembers(ctx, again); err != nil {
		return err
	}
	snapshot, err := s.Source.TemporarySnapshot(ctx)
	if err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	defer func() { _ = snapshot.Close(context.WithoutCancel(ctx)) }() // its connection ends either way
	return s.copyAll(ctx, snapshot, again)
}

// publish adds the tables to the publication that are not there. Later than at a first start, one that we may not add (its owner has
// to) costs nothing but itself.
func (s *session) publish(ctx context.Context, tables []*cdc.Table, members map[uint32]cdc.PublishedBy, first bool) error {
	err := s.Source.EnsurePublication(ctx, tables)
	if err != nil && (first || !errors.Is(err, cdc.ErrRefused)) {
		return fmt.Errorf("publication: %w", err)
	}
	if err == nil {
		return nil
	}
	var changed []cdc.StateChange
	for _, t := range tables {
		if len(members[t.OID]) > 0 {
			continue
		}
		err := s.Source.EnsurePublication(ctx, []*cdc.Table{t})
		switch live := s.live[t.OID]; {
		case err == nil:
		case !errors.Is(err, cdc.ErrRefused):
			return fmt.Errorf("publication: %w", err)
		case live.begun():
			s.quarantine(live, fmt.Errorf("it is not in the publication: %w; then "+cdc.ResnapshotCommand(live.FullName()), err))
			changed = append(changed, live.state)
		default:
			delete(s.live, t.OID)
			s.leaveOut(t, fmt.Errorf("it is not in the publication: %w", err))
		}
	}
	return s.commitNow(ctx, changed...)
}

// mergedHashKeys adds the config's keys to those the topics were written with, which stay known.
func (s *session) mergedHashKeys() map[string]string {
	merged := maps.Clone(s.HashKeys)
	for id, print := range s.state.Source.HashKeys {
		if merged == nil {
			merged = map[string]string{}
		}
		merged[id] = print
	}
	return merged
}

// open begins a new generation of each table: its open markers and its state are one transaction, committed before the snapshot
// is taken. Other changes of the state go with it.
func (s *session) open(ctx context.Context, tables []*liveTable, changed []cdc.StateChange) error {
	c, err := s.committer.pool.get(ctx)
	if err != nil {
		return err
	}
	changed = append(changed, s.state.Source)
	for _, t := range tables {
		t.state = t.now(cdc.TableCopying, t.state.Generation+1)
		meta := cdc.Meta{Position: s.state.Point.Position, Generation: t.state.Generation, CommitTime: s.state.Point.Time, Now: nowMicros()}
		meta.Position.Epoch, meta.Position.Ordinal = s.state.Source.Epoch, 0
		if err := t.encoder.OpenGeneration(c, &meta); err != nil {
			return fmt.Errorf("open generation %d of %s: %w", t.state.Generation, t.FullName(), err)
		}
		changed = append(changed, t.state)
		s.status.table(t, 0)
	}
	point := s.state.Point
	return s.committer.commitNow(ctx, part{chunk: c, reached: &point, changed: changed})
}

func nowMicros() int64 { return time.Now().UnixMicro() }
