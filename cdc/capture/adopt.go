package capture

import (
	"cmp"
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// compile lays the stored state beside the tables and makes topics and encoders for those that can be captured, which it gives back.
func (s *session) compile(ctx context.Context, tables []*cdc.Table) ([]*cdc.Table, error) {
	if s.state.Tables == nil {
		s.state.Tables = map[string]cdc.TableState{}
	}
	s.status.begin()
	fitting, err := s.fit(tables)
	if err != nil {
		return nil, err
	}
	for _, live := range fitting {
		if err := s.prepare(ctx, live); err != nil {
			return nil, err
		}
		s.live[live.OID] = live
		s.status.table(live, live.state.Rows)
	}
	return capturable(fitting), nil
}

// fit lays the stored state beside the tables, leaves out those that must not be begun, and refuses or quarantines what does not fit.
func (s *session) fit(tables []*cdc.Table) (fitting []*liveTable, err error) {
	for _, t := range tables {
		live := &liveTable{Table: t, state: s.state.Tables[t.FullName()]}
		if why := live.keptOut(); why != nil {
			if s.task.names(t.FullName()) {
				return nil, fmt.Errorf("%w: %s cannot be copied; nothing was changed: %w", cdc.ErrRefused, t.FullName(), why)
			}
			s.leaveOut(t, why)
			continue
		}
		if err := s.adopt(live); err != nil {
			return nil, err
		}
		fitting = append(fitting, live)
	}
	return fitting, s.askedFor(fitting)
}

// capturable are those that are not quarantined.
func capturable(tables []*liveTable) (captured []*cdc.Table) {
	for _, t := range tables {
		if !t.quarantined() {
			captured = append(captured, t.Table)
		}
	}
	return captured
}

// prepare makes topic and encoder. A table whose schema the registry will not take is quarantined, at a first start it is refused.
func (s *session) prepare(ctx context.Context, t *liveTable) error {
	if t.quarantined() {
		return nil
	}
	created, err := s.Sink.EnsureTopic(ctx, t.Topic)
	if err != nil {
		return fmt.Errorf("topic %s: %w", t.Topic.Name, err)
	}
	if created && t.state.Phase == cdc.TableStreaming {
		s.Log.Warn("the table's topic was deleted; it is copied again", zap.String("table", t.FullName()), zap.String("topic", t.Topic.Name))
		t.state.Phase = cdc.TableCopying
		if err := s.commitNow(ctx, t.state); err != nil { // before anything else can fail: it is made only once
			return err
		}
	}
	switch t.encoder, err = s.Tables.Encoder(ctx, t.Table); {
	case err == nil:
		return nil
	case !errors.Is(err, cdc.ErrSchema):
		return fmt.Errorf("table %s: %w", t.FullName(), err)
	case s.state.Source.Phase == cdc.PhaseCreating, s.task.names(t.FullName()):
		return fmt.Errorf("%w: table %s: %w", cdc.ErrRefused, t.FullName(), err)
	}
	if !t.begun() {
		t.state = t.now(cdc.TableQuarantined, t.state.Generation)
	}
	s.quarantine(t, fmt.Errorf("%w, then "+cdc.ResnapshotCommand(t.FullName()), err))
	return nil
}

// now is the table's state as the catalog describes the table at present.
func (t *liveTable) now(phase cdc.TablePhase, generation uint32) cdc.TableState {
	return cdc.TableState{
		Format: cdc.StateFormat, Schema: t.Schema, Table: t.Name, OID: t.OID, Topic: t.Topic.Name, Phase: phase,
		Generation: generation, KeyPrint: t.KeyPrint, PolicyPrint: t.PolicyPrint, Shape: t.Shape, Columns: t.Columns,
	}
}

// adopt decides whether the stored state still fits the table. What the table itself has come to quarantines it; what only another
// config can bring about (the policy, a name that its columns do not have, the prefix) is refused: it shows at the start of a process, when nothing runs yet.
func (s *session) adopt(t *liveTable) error {
	stored := t.state
	switch {
	case s.state.Source.Phase == cdc.PhaseCreating:
		t.state = cdc.TableState{Generation: stored.Generation} // no row has been written yet
		return nil
	case s.task.names(t.FullName()):
		return s.anew(t)
	case stored.Phase == "" || stored.Phase == cdc.TableExcluded:
		return nil
	case stored.Phase == cdc.TableQuarantined:
		s.quarantine(t, stillUnfit(t, stored.Reason))
		return nil
	case t.Refused != nil && t.RefusedByConfig && !s.settled && stored.OID == t.OID && cdc.SameShape(stored.Shape, t.Shape):
		return fmt.Errorf("%w: %s is captured and its columns are as they were, but the config does not fit them any more; nothing was changed: %w", cdc.ErrRefused, t.FullName(), t.Refused)
	case t.Refused != nil:
		s.quarantine(t, fmt.Errorf("%w; then "+cdc.ResnapshotCommand(t.FullName()), t.Refused))
		return nil
	case stored.Topic != t.Topic.Name:
		return fmt.Errorf("%w: %s was written to topic %s, now it would be %s. Try: put kafka.prefix back", cdc.ErrRefused, t.FullName(), stored.Topic, t.Topic.Name)
	}
	if why := changed(t.Table, stored); why != "" {
		if stored.Phase == cdc.TableStreaming {
			s.quarantine(t, errors.New(why+". Try: "+cdc.ResnapshotCommand(t.FullName())))
		}
		return nil // a copy that has not ended begins again, with the table as it is now
	}
	if stored.PolicyPrint != t.PolicyPrint {
		return fmt.Errorf("%w: the privacy policy of %s has changed since its rows were written; mixing both would be neither private nor exact. Try: put the former policy back, or "+cdc.ResnapshotAllCommand, cdc.ErrRefused, t.FullName())
	}
	return nil
}

// stillUnfit is a stored reason, with what keeps the table from being copied again if something does.
func stillUnfit(t *liveTable, reason string) error {
	if t.Refused == nil || strings.Contains(reason, cdc.OneLine(t.Refused).Error()) {
		return errors.New(reason)
	}
	why, _, _ := strings.Cut(reason, ". Try")
	return fmt.Errorf("%s; as it is now it cannot be copied: %w; then "+cdc.ResnapshotCommand(t.FullName()), why, t.Refused)
}

// changed says what has become of the table itself since its generation was opened; "" if nothing has. The policy of a column that
// came or went changes the policy's fingerprint, too, so that this is asked first.
func changed(t *cdc.Table, stored cdc.TableState) string {
	switch {
	case stored.OID != t.OID:
		return "the table was dropped and made again: its changes in between are unknown"
	case !cdc.SameShape(stored.Shape, t.Shape):
		return cdc.ShapeChange(stored.Shape, t.Shape, stored.Columns, t.Columns) + ": its rows may have changed without an event since it was copied"
	case stored.KeyPrint != t.KeyPrint && stored.PolicyPrint == t.PolicyPrint: // the fingerprint of a key holds its columns' policies
		return "the table's key has changed since its rows were written"
	}
	return ""
}

// excludeUnnamed marks tables of the state that the config no longer names, or that are gone, and keeps quarantines found at compile.
func (s *session) excludeUnnamed() []cdc.StateChange {
	named := map[string]bool{}
	var changed []cdc.StateChange
	for _, t := range s.live {
		named[t.FullName()] = true
		if t.quarantined() && s.state.Tables[t.FullName()].Phase != cdc.TableQuarantined {
			changed = append(changed, t.state)
		}
	}
	for name, t := range s.state.Tables {
		if !named[name] && t.Phase != cdc.TableExcluded {
			t.Phase, t.Reason = cdc.TableExcluded, ""
			s.state.Tables[name] = t
			changed = append(changed, t)
		}
	}
	return changed
}

// uncopied lists the tables whose present generation has not ended, the largest first.
func (s *session) uncopied() []*liveTable {
	var out []*liveTable
	for _, t := range s.live {
		switch t.state.Phase {
		case "", cdc.TableCopying, cdc.TableExcluded:
			out = append(out, t)
		case cdc.TableStreaming, cdc.TableQuarantined:
		}
	}
	slices.SortFunc(out, func(a, b *liveTable) int {
		return cmp.Or(cmp.Compare(b.EstimatedRows, a.EstimatedRows), cmp.Compare(a.FullName(), b.FullName()))
	})
	return out
}
