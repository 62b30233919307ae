package cdc

import (
	"context"
	"errors"
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
	tables := make([]*Table, 0, len(s.live))
	for _, t := range s.live {
		if !t.quarantined() {
			tables = append(tables, t.Table)
		}
	}
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
			found, err := s.look(ctx, tables)
			if err != nil {
				s.Log.Debug("could not look for changed tables; it is tried again", zap.Error(err))
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

func (s *session) look(ctx context.Context, tables []*Table) (*drift, error) {
	changed, err := s.Tables.Drift(ctx)
	if err != nil {
		return nil, err
	}
	found := &drift{tables: changed}
	_, missing, err := s.Source.Published(ctx, tables)
	switch {
	case errors.Is(err, ErrRefused):
		found.refused = err
	case err != nil:
		return nil, err
	}
	for _, t := range missing {
		if found.tables == nil {
			found.tables = map[uint32]error{}
		}
		if found.tables[t.OID] == nil {
			found.tables[t.OID] = errors.New("the table has left the publication: its changes are no longer sent. Try: " + CopyAgain)
		}
	}
	return found, nil
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
