package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dirtbike/cdc"
)

// publish adds the tables to the publication that are not in it. After the first start, a table that we may not add
// (its owner has to) is left out or quarantined alone; so is always one that has a row filter there.
func (s *session) publish(ctx context.Context) error {
	err := s.o.Source.EnsurePublication(ctx, capturable(s.tables))
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, cdc.ErrRefused), s.plan.mode != resume && cdc.OfOneTable(err) == nil:
		return fmt.Errorf("publication: %w", err)
	}
	var changed []cdc.StateChange
	for _, t := range slices.Clone(s.tables) {
		if t.quarantined() || len(s.plan.published[t.listed.OID]) > 0 {
			continue
		}
		err := s.o.Source.EnsurePublication(ctx, []*cdc.Table{t.listed})
		why := cdc.Failed("it is not in the publication").Because(err)
		switch {
		case err == nil:
		case !errors.Is(err, cdc.ErrRefused):
			return fmt.Errorf("publication: %w", err)
		case begun(t.listed, t.state):
			if err := s.quarantine(t, &cdc.TableTrouble{Lasting: true, Err: why}); err != nil {
				return err
			}
			changed = append(changed, t.state)
		default: // a new table
			delete(s.relations, t.listed.OID)
			s.tables = slices.DeleteFunc(s.tables, func(other *table) bool { return other == t })
			s.report.skipped(t.listed, why)
		}
	}
	return s.commitNow(ctx, changed...)
}

// notePublished stores what publishes the tables that are about to be copied. It comes before the copies, so that as
// long as one of these members stays, everything after them is sent.
func (s *session) notePublished(ctx context.Context, tables []*table) error {
	_, published, err := s.o.Source.Published(ctx, capturable(tables))
	if err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	var changed []cdc.StateChange
	for _, t := range tables {
		if t.state.PublishedBy = published[t.listed.OID]; len(t.state.PublishedBy) == 0 {
			return cdc.Failed("table %s left the publication while its copy was prepared", t.name()).
				Keeps("Nothing of it was read, it is tried again").Fix("keep it there while capture starts")
		}
		changed = append(changed, t.state)
	}
	return s.commitNow(ctx, changed...)
}
