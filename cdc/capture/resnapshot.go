package capture

import (
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.uber.org/zap"
)

// A table is copied again as a new generation (rule 13): its open markers, the rows of a temporary slot's snapshot, its end markers.
// The main slot streams from where it stood, so that nothing is lost of the others, and changes below the cut are published once.
//
// Everything is copied again under the next epoch (rule 1), from a new slot. The order is: (1) the state `renewing`, the next epoch
// and the open markers of all tables are one commit; (2) the former slot is dropped; (3) the state `creating` is committed; (4) from
// there it is a first start. Cut short before (3), only ResnapshotAll goes on, so that no slot is taken for the new one that is not;
// cut short behind it, any start does.

// task is what a capture does in place of following the log.
type task struct {
	all    bool
	tables []string      // "schema.table", if not all
	past   cdc.HighWater // what others than the state know
}

func (t *task) renews() bool { return t != nil && t.all }

// names reports whether the table is asked for by its name.
func (t *task) names(table string) bool { return t != nil && slices.Contains(t.tables, table) }

// widen adds to the state what else is known of the past.
func (t *task) widen(state *cdc.State) { state.HighWater.Add(t.past) }

// errDone ends a session whose task is done.
var errDone = errors.New("done")

// ErrStillRefused says that a table was copied again and is quarantined again.
var ErrStillRefused = errors.New("quarantined again")

// Resnapshot makes a new generation of each of the tables, "schema.table", whether they are quarantined or not, and of those that a
// start would copy anyway; it returns once their copies are committed. A new policy, key or shape of these tables is taken for
// acknowledged. It needs the slot to itself. Cut short at any point, the next start or call copies them from their beginning.
// ErrStillRefused names a table whose rows cannot be carried; the others are copied.
func (c *Capture) Resnapshot(ctx context.Context, tables []string) error {
	return c.do(ctx, &task{tables: tables})
}

// ResnapshotAll copies all tables again under the next epoch, from a new slot; a slot of that name is dropped. past is what others than
// Kafka know of the pipeline: epoch and generations become higher than any there. It is the way out of every ErrGap, returns once all
// copies are committed, and can be called again if it was cut short.
func (c *Capture) ResnapshotAll(ctx context.Context, past cdc.HighWater) error {
	return c.do(ctx, &task{all: true, past: past})
}

// do runs one session for a task. Unlike Run it does not try again: somebody is waiting for it.
func (c *Capture) do(ctx context.Context, t *task) error {
	defer c.closeSink(ctx)
	c.task = t
	err := c.session(ctx)
	if !errors.Is(err, errDone) {
		return err
	}
	var again []string
	for _, table := range c.Status().Tables {
		if table.Phase == cdc.TableQuarantined && (t.all || t.names(table.Table)) {
			again = append(again, table.Table+": "+table.Reason)
		}
	}
	if len(again) > 0 {
		return fmt.Errorf("%w: %s", ErrStillRefused, strings.Join(again, "; "))
	}
	return nil
}

func (s *session) inUse() error {
	return fmt.Errorf("%w: somebody streams from slot %s, or copies tables for it. Nothing was changed. Try: stop the process that captures, then again; of a killed one Postgres lets go within wal_sender_timeout", cdc.ErrRefused, s.Slot)
}

// askedFor refuses a name that is no table which can be captured.
func (s *session) askedFor(fitting []*liveTable) error {
	if s.task == nil || s.task.all {
		return nil
	}
	for _, name := range s.task.tables {
		if !slices.ContainsFunc(fitting, func(t *liveTable) bool { return t.FullName() == name }) {
			return fmt.Errorf("%w: %s cannot be copied: it is not there, or source.tables does not name it. Nothing was changed. Try: %sdirtbike status, which lists the tables, or dirtbike check", cdc.ErrRefused, name, nearest(name, fitting))
		}
	}
	return nil
}

// nearest is the command for the table that was probably meant, with a comma behind it; empty if none is near.
func nearest(name string, tables []*liveTable) string {
	best, least := "", max(2, len(name)/6)+1
	for _, t := range tables {
		if d := levenshtein.ComputeDistance(name, t.FullName()); d < least {
			best, least = cdc.ResnapshotCommand(t.FullName())+", ", d
		}
	}
	return best
}

// anew makes a table whose name was asked for one that is still to be copied.
func (s *session) anew(t *liveTable) error {
	switch {
	case t.Refused != nil:
		return fmt.Errorf("%w: %s cannot be copied; nothing was changed: %w", cdc.ErrRefused, t.FullName(), t.Refused)
	case t.state.Topic != "" && t.state.Topic != t.Topic.Name:
		return fmt.Errorf("%w: %s was written to topic %s, now it would be %s. Try: put kafka.prefix back", cdc.ErrRefused, t.FullName(), t.state.Topic, t.Topic.Name)
	}
	t.state.Phase = cdc.TableCopying
	return nil
}

// nextEpoch is above every epoch that anybody knows of.
func (s *session) nextEpoch() uint32 {
	return max(s.state.Source.Epoch, s.state.Point.Position.Epoch, s.state.HighWater.Epoch) + 1
}

// rememberPast keeps the generations of tables that are not captured now: one that comes back must begin above them.
func (s *session) rememberPast() (changed []cdc.StateChange) {
	captured := map[string]bool{}
	for _, t := range s.live {
		captured[t.FullName()] = true
	}
	for name, generation := range s.state.HighWater.Generations {
		t := s.state.Tables[name]
		if captured[name] || t.Generation >= generation {
			continue
		}
		t.Format, t.Phase, t.Reason, t.Generation = cdc.StateFormat, cdc.TableExcluded, "", generation
		t.Schema, t.Table, _ = strings.Cut(name, ".")
		s.state.Tables[name] = t
		changed = append(changed, t)
	}
	return changed
}

// renew is the way out of every gap; survey has put the next epoch into the state.
func (s *session) renew(ctx context.Context, tables []*cdc.Table, found bool) error {
	epoch := s.state.Source.Epoch
	s.Log.Info("copying all tables again, from a new slot", zap.String("slot", s.Slot), zap.Uint32("epoch", epoch), zap.Int("tables", len(tables)))
	s.first = true
	s.state.Point = cdc.Point{Position: cdc.Position{Epoch: epoch}, Time: s.state.Point.Time}
	s.state.Source.Phase = cdc.PhaseRenewing
	for _, t := range s.live {
		t.state.Generation = max(t.state.Generation, s.state.HighWater.Generations[t.FullName()])
	}
	if err := s.open(ctx, s.uncopied(), append(s.excludeUnnamed(), s.rememberPast()...)); err != nil {
		return err
	}
	s.Fault.At(cdc.FaultRenewing)
	if found {
		// another that was started meanwhile may have a new slot already: then this one is fenced here
		if err := s.commitNow(ctx, s.state.Source); err != nil {
			return err
		}
		if err := s.Source.DropSlot(ctx); err != nil {
			return fmt.Errorf("drop the former slot %s: %w", s.Slot, err)
		}
	}
	s.Fault.At(cdc.FaultSlotDropped)
	s.state.Source.Phase = cdc.PhaseCreating
	if err := s.commitNow(ctx, s.state.Source); err != nil {
		return err
	}
	return s.build(ctx, tables)
}
