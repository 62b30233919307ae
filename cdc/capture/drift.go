package capture

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// driftWatch looks for changes of tables that send no event at all (rule 18): a table leaves the publication, is
// dropped and made again, gets a column with a default, loses its key, an enum's label is renamed. So the catalog is
// read now and then; a table that drifted is quarantined instead of being called exact. When the change happened in the
// log's order is not known, which does not matter: everything after it is unknown.
type driftWatch struct {
	source   cdc.Source
	catalog  cdc.Tables
	interval time.Duration
	report   *reporter
	// tables can still be followed; publishedBy says, by OID, what published each of them at the start.
	tables      []*cdc.Table
	publishedBy map[uint32]cdc.PublishedBy
	failed      failedReads
	found       atomic.Pointer[drift] // the newest finding, until the follower takes it
}

// drift is what one reading of the catalog found.
type drift struct {
	// tables that can no longer be followed, with the reason, by OID.
	tables map[uint32]error
	// refused stops the pipeline: the publication itself leaves changes out.
	refused error
}

func (s *session) newDriftWatch() *driftWatch {
	w := &driftWatch{
		source: s.o.Source, catalog: s.o.Tables, interval: s.o.DriftInterval, report: s.report,
		publishedBy: map[uint32]cdc.PublishedBy{}, failed: failedReads{report: s.report},
	}
	for _, t := range s.tables {
		if !t.quarantined() {
			w.tables = append(w.tables, t.listed)
			w.publishedBy[t.listed.OID] = t.state.PublishedBy
		}
	}
	return w
}

// start reads the catalog every interval, until done is called; found is called when there is something to take.
func (w *driftWatch) start(ctx context.Context, found func()) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(w.interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.check(ctx, found)
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}

func (w *driftWatch) check(ctx context.Context, found func()) {
	reading, cancel := context.WithTimeout(ctx, w.interval) // a lock may be in its way
	defer cancel()
	drift, err := w.read(reading)
	if ctx.Err() != nil {
		return
	}
	if w.failed.count(err); err != nil {
		return
	}
	if drift.refused != nil || len(drift.tables) > 0 {
		w.found.Store(drift)
		found()
	}
}

func (w *driftWatch) read(ctx context.Context) (*drift, error) {
	changed, err := w.catalog.Drift(ctx)
	if err != nil {
		return nil, err
	}
	_, published, err := w.source.Published(ctx, w.tables)
	switch {
	case errors.Is(err, cdc.ErrRefused):
		return &drift{tables: changed, refused: err}, nil
	case err != nil:
		return nil, err
	}
	if changed == nil {
		changed = map[uint32]error{}
	}
	for _, t := range w.tables {
		if why := leftPublication(t, w.publishedBy[t.OID], published[t.OID]); why != nil && changed[t.OID] == nil {
			changed[t.OID] = why
		}
	}
	return &drift{tables: changed}, nil
}

// leftPublication says whether the table is, or meanwhile was, outside the publication: nil if it is not. Where another
// member took over from the one of the start, it is taken for having left: the safe side.
func leftPublication(t *cdc.Table, was, now cdc.PublishedBy) error {
	switch {
	case len(now) == 0:
		return copyToFix(t, "the table has left the publication: its changes are no longer sent")
	case !was.SharesWith(now):
		return copyToFix(t, "the table left the publication and came back, or the publication itself was altered: changes in between may not have been sent")
	}
	return nil
}

// failedReads says when the catalog could not be read several times in a row: tables may have changed meanwhile without
// being seen.
type failedReads struct {
	report *reporter
	inARow int
}

// mostFailedReads is how many readings may fail before capture is unhealthy.
const mostFailedReads = 3

func (f *failedReads) count(err error) {
	if err == nil {
		if f.inARow >= mostFailedReads {
			f.report.status.healthyAgain()
		}
		f.inARow = 0
		return
	}
	if f.inARow++; f.inARow < mostFailedReads {
		f.report.log.Debug("cannot read the catalog; it is tried again", zap.Error(err))
		return
	}
	why := cdc.Failed("the catalog could not be read %d times, so that tables which changed without an event are not noticed", f.inARow).
		Because(err).Fix("see in pg_stat_activity what dirtbike waits for")
	f.report.log.Warn("cannot read the catalog: schema changes without events are not detected", zap.Error(why))
	f.report.status.failed(why)
}
