package capture

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// driftWatch looks for changes of tables that send no event at all (rule 18): a table leaves the publication, is
// dropped and made again, gets a column with a default, loses its key, an enum's label is renamed. A table that drifted
// is quarantined instead of being called exact.
type driftWatch struct {
	o      *Options
	report *reporter
	// tables can still be followed; publishedBy says, by OID, what published each of them at the start.
	tables      []*cdc.Table
	publishedBy map[uint32]cdc.PublishedBy
	failed      int                   // readings in a row
	found       atomic.Pointer[drift] // the newest finding, until the follower takes it
}

// drift is what one reading of the catalog found.
type drift struct {
	tables  map[uint32]error // that can no longer be followed, with the reason, by OID
	refused error            // stops the pipeline: the publication itself leaves changes out
}

func (s *session) newDriftWatch() *driftWatch {
	w := &driftWatch{o: s.o, report: s.report, tables: capturable(s.tables), publishedBy: map[uint32]cdc.PublishedBy{}}
	for _, t := range s.tables {
		w.publishedBy[t.listed.OID] = t.state.PublishedBy
	}
	return w
}

// start reads the catalog every interval, until done is called; found is called when there is something to take.
func (w *driftWatch) start(ctx context.Context, found func()) (done func()) {
	return every(ctx, w.o.DriftInterval, func(ctx context.Context, _ time.Time) {
		reading, cancel := context.WithTimeout(ctx, w.o.DriftInterval) // it may have to wait for a lock
		defer cancel()
		drift, err := w.read(reading)
		if ctx.Err() != nil {
			return
		}
		if w.count(err); err == nil && (drift.refused != nil || len(drift.tables) > 0) {
			w.found.Store(drift)
			found()
		}
	})
}

func (w *driftWatch) read(ctx context.Context) (*drift, error) {
	changed, err := w.o.Tables.Drift(ctx)
	if err != nil {
		return nil, err
	}
	_, published, err := w.o.Source.Published(ctx, w.tables)
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
		} else if why == nil {
			w.publishedBy[t.OID] = published[t.OID]
		}
	}
	return &drift{tables: changed}, nil
}

// leftPublication says that the table is, or meanwhile was, outside the publication: nil if it is not. If another
// member publishes it than at the start, it counts as having left: at worst that costs a copy.
func leftPublication(t *cdc.Table, was, now cdc.PublishedBy) error {
	switch {
	case len(now) == 0:
		return copyToFix(t, "the table has left the publication, or has a row filter there: its changes are no longer all sent")
	case !was.SharesWith(now):
		return copyToFix(t, "the table left the publication and came back, or the publication itself was altered: changes in between may not have been sent")
	}
	return nil
}

// mostFailedReads is how many readings in a row may fail before capture is unhealthy: tables may have changed meanwhile
// without being seen.
const mostFailedReads = 3

func (w *driftWatch) count(err error) {
	if err == nil {
		if w.failed >= mostFailedReads {
			w.report.status.phase(cdc.PhaseStreaming) // healthy again
		}
		w.failed = 0
		return
	}
	if w.failed++; w.failed < mostFailedReads {
		w.report.log.Debug("cannot read the catalog; it is tried again", zap.Error(err))
		return
	}
	why := cdc.Failed("the catalog could not be read %d times, so that tables which changed without an event are not noticed", w.failed).
		Because(err).Fix("see in pg_stat_activity what keeps it")
	w.report.log.Warn("cannot read the catalog: schema changes without events are not detected", zap.Error(why))
	w.report.status.failed(why)
}
