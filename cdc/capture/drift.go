package capture

import (
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Some changes of a table send no event at all (rule 18): it leaves the publication, is dropped and made again, gets a column with
// a default, loses its key, an enum's label is renamed. So the catalog is asked now and then; a table that drifted is quarantined
// instead of being called exact. When the change happened in the log's order is not known, which does not matter: everything
// behind it is unknown.

// drift is what the last look found.
type drift struct {
	// tables that can no longer be followed, with the reason, by OID.
	tables map[uint32]error
	// refused stops the pipeline: the publication itself leaves changes out.
	refused error
}

// drifts holds the newest finding until the loop takes it.
type drifts struct{ found atomic.Pointer[drift] }

// watchDrift looks every DriftInterval, until done is called.
func (s *session) watchDrift(ctx context.Context, into *drifts, wake func()) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	watched := s.watched() // the loop changes the states meanwhile
	blind := blindness{session: s}
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(s.DriftInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			found, err := s.lookSoon(ctx, watched)
			if ctx.Err() != nil {
				return
			}
			if blind.count(err); err != nil {
				continue
			}
			if found.refused != nil || len(found.tables) > 0 {
				into.found.Store(found)
				wake()
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}

// lookSoon bounds a look, which may find a lock in its way.
func (s *session) lookSoon(ctx context.Context, w watched) (*drift, error) {
	ctx, cancel := context.WithTimeout(ctx, s.DriftInterval)
	defer cancel()
	return s.look(ctx, w)
}

// blindness tells when looks fail one after the other: tables may have changed meanwhile without being seen.
type blindness struct {
	session *session
	failed  int
}

// blindAfter is how many looks may fail before it is told.
const blindAfter = 3

func (b *blindness) count(err error) {
	if err == nil {
		if b.failed >= blindAfter {
			b.session.status.sees()
		}
		b.failed = 0
		return
	}
	if b.failed++; b.failed < blindAfter {
		b.session.Log.Debug("could not look for changed tables; it is tried again", zap.Error(err))
		return
	}
	err = cdc.OneLine(fmt.Errorf("the catalog could not be looked at %d times, so that tables which changed without an event are not noticed: %w. Try: see in pg_stat_activity what dirtbike waits for", b.failed, err))
	b.session.Log.Warn("blind to changed tables", zap.Error(err))
	b.session.status.failed(err)
}

// watched is what a look compares: tables that can still be followed, and what published each of them at the start.
type watched struct {
	tables  []*cdc.Table
	members map[uint32]cdc.PublishedBy
}

func (s *session) watched() watched {
	w := watched{members: map[uint32]cdc.PublishedBy{}}
	for _, t := range s.live {
		if !t.quarantined() {
			w.tables = append(w.tables, t.Table)
			w.members[t.OID] = t.state.PublishedBy
		}
	}
	return w
}

func (s *session) look(ctx context.Context, w watched) (*drift, error) {
	changed, err := s.Tables.Drift(ctx)
	if err != nil {
		return nil, err
	}
	found := &drift{tables: changed}
	_, members, err := s.Source.Published(ctx, w.tables)
	switch {
	case errors.Is(err, cdc.ErrRefused):
		found.refused = err
		return found, nil
	case err != nil:
		return nil, err
	}
	for _, t := range w.tables {
		if why := left(t, w.members[t.OID], members[t.OID]); why != nil && found.tables[t.OID] == nil {
			found.add(t.OID, why)
		}
	}
	return found, nil
}

// left says whether the table is, or meanwhile was, outside the publication: nil if it is not. Where another member took over from the
// one of the start, it is taken for having left: the safe side.
func left(t *cdc.Table, was, now cdc.PublishedBy) error {
	switch {
	case len(now) == 0:
		return errors.New("the table has left the publication: its changes are no longer sent. Try: " + cdc.ResnapshotCommand(t.FullName()))
	case !was.SharesWith(now):
		return errors.New("the table left the publication and came back, or the publication itself was altered: changes in between may not have been sent. Try: " + cdc.ResnapshotCommand(t.FullName()))
	}
	return nil
}

func (d *drift) add(oid uint32, why error) {
	if d.tables == nil {
		d.tables = map[uint32]error{}
	}
	d.tables[oid] = why
}

// settleDrift quarantines what has drifted. It is called between transactions.
func (f *follower) settleDrift() error {
	found := f.drifts.found.Swap(nil)
	if found == nil {
		return nil
	}
	for oid, reason := range found.tables {
		if t := f.live[oid]; t != nil && !t.quarantined() {
			f.refuse(t, reason)
		}
	}
	return found.refused
}
