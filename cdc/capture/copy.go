package capture

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
)

// copyAll copies the tables from one snapshot, several at once, and then ends the copying phase (rule 13). A table with
// a row that cannot be carried, or that cannot be read, is quarantined; the others go on.
func (s *session) copyAll(ctx context.Context, snapshot cdc.Snapshot, tables []*table) error {
	s.report.log.Info("copying tables", zap.Int("tables", len(tables)), zap.Stringer("snapshot", snapshot.Point()))
	s.report.status.phase(cdc.PhaseCopying)
	var counting sync.Mutex
	done := 0
	const step = "copying"
	s.report.progress(step, 0, len(tables))
	group, copying := errgroup.WithContext(ctx)
	group.SetLimit(s.o.SnapshotWorkers)
	for _, t := range tables {
		group.Go(func() error {
			if err := context.Cause(copying); err != nil {
				return err
			}
			if err := s.copy(copying, snapshot, t); err != nil {
				return fmt.Errorf("copy table %s: %w", t.name(), err)
			}
			counting.Lock()
			defer counting.Unlock()
			done++
			s.report.progress(step, done, len(tables))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := snapshot.Close(ctx); err != nil {
		return fmt.Errorf("close the snapshot: %w", err)
	}
	return s.copyRest(ctx)
}

// copyRest copies the tables whose generation has not ended, as new generations, from a new snapshot of a temporary
// slot, and ends the copying phase once there are none.
func (s *session) copyRest(ctx context.Context) error {
	due := s.copiesDue()
	if len(due) == 0 {
		return s.endCopying(ctx)
	}
	if err := s.open(ctx, due, nil); err != nil {
		return err
	}
	if err := s.notePublished(ctx, due); err != nil {
		return err
	}
	snapshot, err := s.o.Source.TemporarySnapshot(ctx)
	if err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	defer func() { _ = snapshot.Close(context.WithoutCancel(ctx)) }() // its connection ends either way
	return s.copyAll(ctx, snapshot, due)
}

func (s *session) endCopying(ctx context.Context) error {
	s.state.Source.Phase = cdc.PhaseStreaming
	return s.commitNow(ctx, s.state.Source)
}

// copy writes all rows of one table, then its end markers together with "ended" in the state. It may run for several
// tables at once. It sends chunks without a point, so that its rows are committed with the point that the follower has
// reached.
func (s *session) copy(ctx context.Context, snapshot cdc.Snapshot, t *table) (err error) {
	cut := cdc.Position{Epoch: s.state.Source.Epoch, CommitLSN: snapshot.Point()}
	w := &copyWriter{session: s, ctx: ctx, table: t, meta: cdc.Meta{
		Position: cut, LSN: cut.CommitLSN, CommitTime: nowMicros(), Generation: t.state.Generation, Controls: t.state.Controls, Leaf: t.relation.leaf, Now: nowMicros(),
	}}
	if w.chunk, err = s.committer.pool.get(ctx); err != nil {
		return err
	}
	err = snapshot.Copy(ctx, t.listed, w.row)
	if errors.Is(err, cdc.ErrStaleSnapshot) && t.staleTries < mostStaleTries {
		t.staleTries++
		w.chunk.Release()
		s.report.log.Info("a table was rewritten or truncated after the snapshot was taken; it is copied from another one", zap.String("table", t.name()))
		return nil
	}
	if w.refused == nil && ctx.Err() == nil && cdc.OfOneTable(err) != nil {
		w.refused = err
	}
	switch {
	case w.refused != nil:
		return w.quarantine()
	case err != nil:
		return err
	}
	return w.end()
}

// mostStaleTries is how many snapshots of a session may be too old for a table; then it waits.
const mostStaleTries = 5

// copyWriter fills chunks with one table's rows.
type copyWriter struct {
	session *session
	ctx     context.Context //nolint:containedctx // the row callback has no other way to it
	table   *table
	chunk   *cdc.Chunk
	meta    cdc.Meta // its position is the cut, the snapshot's version
	rows    int64
	refused error // the row that could not be carried
}

func (w *copyWriter) row(row cdc.Tuple) error {
	w.refused = w.table.relation.append(w.ctx, w.chunk, &w.meta, cdc.RowChange{Op: cdc.OpRead, New: row}, w.session.o.MaxRecord)
	if w.refused != nil {
		return w.refused
	}
	w.rows++
	if len(w.chunk.Bytes) < w.session.o.ChunkBytes {
		return nil
	}
	w.session.o.Fault.At(cdc.FaultInCopy)
	return w.flush()
}

// flush sends the full chunk.
func (w *copyWriter) flush() error {
	committer := w.session.committer
	if err := committer.send(w.ctx, part{chunk: w.chunk}); err != nil {
		return err
	}
	w.session.report.status.table(w.table, w.rows)
	var err error
	w.chunk, err = committer.pool.get(w.ctx)
	w.meta.Now = nowMicros()
	return err
}

func (w *copyWriter) end() error {
	t, report := w.table, w.session.report
	t.control(w.chunk, w.meta, cdc.ControlEnd)
	if err := t.ended(w.rows, w.meta.Position); err != nil {
		return err
	}
	if err := w.commit(); err != nil {
		return err
	}
	report.status.table(t, w.rows)
	report.log.Info("table copied", zap.String("table", t.name()), zap.Int64("rows", w.rows), zap.Uint32("generation", t.state.Generation))
	return nil
}

func (w *copyWriter) quarantine() error {
	w.table.state.Rows = w.rows
	if err := w.session.quarantine(w.table, w.refused); err != nil {
		return err
	}
	return w.commit()
}

// commit commits the last chunk together with the table's state.
func (w *copyWriter) commit() error {
	return w.session.committer.commitNow(w.ctx, part{chunk: w.chunk, changed: []cdc.StateChange{w.table.state}})
}
