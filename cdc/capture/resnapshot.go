package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// A table is copied again as a new generation (rule 13): its open markers, its rows range by range, its end markers.
// The log is followed meanwhile, so that nothing is lost of the others.
//
// Everything is copied again under the next epoch (rule 1), from a new slot. The order is: (1) the state `renewing`,
// the next epoch and the open markers of all tables are one commit; (2) the former slot is dropped; (3) the state
// `creating` is committed; (4) from there it is a first start. Cut short before (3), only ResnapshotAll goes on, so
// that a former slot is never taken for the new one; cut short after it, any start goes on.

// resnapshotRequest is what a capture does instead of following the log; nil is to follow it.
type resnapshotRequest struct {
	all       bool
	tables    []string      // "schema.table", if not all
	highWater cdc.HighWater // what is known outside of the state
}

func (r *resnapshotRequest) isForAll() bool { return r != nil && r.all }

// names reports whether the table is asked for by its name.
func (r *resnapshotRequest) names(table string) bool {
	return r != nil && slices.Contains(r.tables, table)
}

// rename takes a former name of a table for its present one, by the OID that the state has under the former: messages
// that were printed before the table was renamed lead to it, too, also where it has been renamed again since.
func (r *resnapshotRequest) rename(listed []*cdc.Table, state *cdc.State) {
	if r == nil {
		return
	}
	for i, name := range r.tables {
		if slices.ContainsFunc(listed, func(t *cdc.Table) bool { return t.FullName() == name }) {
			continue
		}
		oid := cmp.Or(state.Tables[name].OID, toldAs(name, state))
		for _, t := range listed {
			if oid != 0 && t.OID == oid {
				r.tables[i] = t.FullName()
			}
		}
	}
}

// toldAs is the OID of the table whose stored reason ends with the command that copies it under that name, which it had
// then; 0 if there is none.
func toldAs(name string, state *cdc.State) uint32 {
	for _, t := range state.Tables {
		if strings.HasSuffix(t.Reason, cdc.ResnapshotCommand(name)) {
			return t.OID
		}
	}
	return 0
}

// allThere refuses a name that is no table which can be captured.
func (r *resnapshotRequest) allThere(p *plan) error {
	if r == nil || r.all {
		return nil
	}
	for _, name := range r.tables {
		if p.has(name) {
			continue
		}
		why := cdc.Refused("%s cannot be copied: it is not there, or source.tables does not name it", name).Keeps("Nothing was changed")
		if near := nearest(name, p.tables); near != "" {
			why = why.Fix("%s", cdc.ResnapshotCommand(near))
		}
		return why.Fix("dirtbike status, which lists the tables").Fix("dirtbike check")
	}
	return nil
}

// nearest is the table that was probably meant; empty if none is near.
func nearest(name string, tables []*table) string {
	best, least := "", max(2, len(name)/6)+1
	for _, t := range tables {
		if d := levenshtein.ComputeDistance(name, t.name()); d < least {
			best, least = t.name(), d
		}
	}
	return best
}

// errDone ends a session whose request is fulfilled.
var errDone = errors.New("done")

// ErrStillRefused says that a table was copied again and is quarantined again.
var ErrStillRefused = errors.New("quarantined again")

// LeftOut says which tables that the config names only by a pattern were not begun, and why, "" for none.
func (c *Capture) LeftOut() string {
	var out []string
	for _, t := range c.Status().Tables {
		if t.Phase == tableSkipped {
			out = append(out, t.Table+": "+t.Reason)
		}
	}
	return strings.Join(out, "; ")
}

// Resnapshot makes a new generation of each of the tables, "schema.table", whether they are quarantined or not, and of
// those that a start would copy anyway; it returns once their copies are committed. A new policy, key or shape of these
// tables counts as acknowledged. It needs the slot to itself. Cut short, the next start or call copies them from their
// beginning. ErrStillRefused names a table whose rows cannot be carried; the others are copied.
func (c *Capture) Resnapshot(ctx context.Context, tables []string) error {
	return c.resnapshot(ctx, &resnapshotRequest{tables: tables})
}

// ResnapshotAll copies all tables again under the next epoch, from a new slot; a slot of that name is dropped.
// highWater is what ClickHouse knows of the pipeline: epoch and generations become higher than any there. It is the way
// out of every ErrGap, returns once all copies are committed, and can be called again if it was cut short. A table that
// cannot be copied and that the config names only by a pattern refuses nothing: one that was captured is quarantined
// (ErrStillRefused), another is LeftOut.
func (c *Capture) ResnapshotAll(ctx context.Context, highWater cdc.HighWater) error {
	return c.resnapshot(ctx, &resnapshotRequest{all: true, highWater: highWater})
}

// resnapshot runs one session for a request. Unlike Run it does not try again: a person waits for it.
func (c *Capture) resnapshot(ctx context.Context, r *resnapshotRequest) error {
	defer c.closeSink(ctx)
	defer c.o.Source.Attend(ctx, c.report.waits)()
	err := c.session(ctx, r)
	if !errors.Is(err, errDone) {
		return err
	}
	var again []string
	for _, table := range c.Status().Tables {
		if table.Phase == cdc.TableQuarantined && (r.all || r.names(table.Table)) {
			again = append(again, table.Table+": "+table.Reason)
		}
	}
	if len(again) > 0 {
		return fmt.Errorf("%w: %s", ErrStillRefused, strings.Join(again, "; "))
	}
	return nil
}

// resnapshotAll is the way out of every gap; the plan has put the next epoch into the state.
func (s *session) resnapshotAll(ctx context.Context) error {
	s.report.log.Info("copying all tables again, from a new slot",
		zap.String("slot", s.o.Slot), zap.Uint32("epoch", s.state.Source.Epoch), zap.Int("tables", len(s.tables)))
	for _, t := range s.tables {
		t.state.Generation = max(t.state.Generation, s.state.HighWater.Generations[t.name()])
	}
	if err := s.open(ctx, s.copiesDue(), s.planned()); err != nil {
		return err
	}
	s.o.Fault.At(cdc.FaultRenewing)
	if s.plan.slotFound {
		if err := s.dropFormerSlot(ctx); err != nil {
			return err
		}
	}
	s.o.Fault.At(cdc.FaultSlotDropped)
	s.state.Source.Phase = cdc.PhaseCreating
	if err := s.commitNow(ctx, s.state.Source); err != nil {
		return err
	}
	return s.makeSlot(ctx)
}

func (s *session) dropFormerSlot(ctx context.Context) error {
	// another that was started meanwhile may have a new slot already: then this one is fenced here
	if err := s.commitNow(ctx, s.state.Source); err != nil {
		return err
	}
	if err := s.o.Source.DropSlot(ctx); err != nil {
		return fmt.Errorf("drop the former slot %s: %w", s.o.Slot, err)
	}
	return nil
}
