package capture

import (
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// copyAll copies the tables from one snapshot, several at once, and then ends the copying phase (rule 13). A table with a row
// that cannot be carried is quarantined, the others go on.
func (s *session) copyAll(ctx context.Context, snapshot cdc.Snapshot, tables []*liveTable) error {
	s.Log.Info("first copy", zap.Int("tables", len(tables)), zap.Stringer("snapshot", snapshot.Point()))
	s.status.phase(cdc.PhaseCopying)
	queue := make(chan *liveTable, len(tables))
	for _, t := range tables {
		queue <- t
	}
	close(queue)
	group, copying := errgroup.WithContext(ctx)
	for range min(s.SnapshotWorkers, len(tables)) {
		group.Go(func() error {
			for t := range queue {
				if err := s.copyTable(copying, snapshot, t); err != nil {
					return fmt.Errorf("copy table %s: %w", t.FullName(), err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.endCopying(ctx)
}

func (s *session) endCopying(ctx context.Context) error {
	s.state.Source.Phase = cdc.PhaseStreaming
	return s.commitNow(ctx, s.state.Source)
}

// copyTable writes all rows of one table, then its end markers together with "ended" in the state.
func (s *session) copyTable(ctx context.Context, snapshot cdc.Snapshot, t *liveTable) error {
	w := &copyWriter{session: s, ctx: ctx, table: t}
	w.meta = cdc.Meta{
		Position: cdc.Position{Epoch: s.state.Source.Epoch, CommitLSN: snapshot.Point()}, LSN: snapshot.Point(),
		CommitTime: nowMicros(), Generation: t.state.Generation, Now: nowMicros(),
	}
	var err error
	if w.chunk, err = s.committer.pool.get(ctx); err != nil {
		return err
	}
	err = snapshot.Copy(ctx, t.Table, w.row)
	if w.refused == nil && errors.Is(err, cdc.ErrRefused) && !s.first { // nobody gave us the right to read a new table
		w.refused = fmt.Errorf("%w; then "+cdc.ResnapshotCommand(t.FullName()), err)
	}
	if err != nil && w.refused == nil {
		return err
	}
	if w.refused != nil {
		return w.quarantine()
	}
	return w.end()
}

// copyWriter fills chunks with one table's rows.
type copyWriter struct {
	*session
	ctx     context.Context //nolint:containedctx // the row callback has no other way to it
	table   *liveTable
	chunk   *cdc.Chunk
	meta    cdc.Meta
	rows    int64
	refused error // the row that could not be carried
}

func (w *copyWriter) row(row cdc.Tuple) error {
	m := markOf(w.chunk)
	err := w.table.encoder.Read(w.chunk, &w.meta, row)
	if err == nil {
		err = w.oversize(w.chunk, m)
	}
	if err != nil {
		w.refused = err
		return err
	}
	w.rows++
	if len(w.chunk.Bytes) < w.ChunkBytes {
		return nil
	}
	w.Fault.At(cdc.FaultInCopy)
	return w.flush()
}

// flush sends the full chunk.
func (w *copyWriter) flush() error {
	if err := w.committer.send(w.ctx, part{chunk: w.chunk}); err != nil {
		return err
	}
	w.status.table(w.table, w.rows)
	var err error
	w.chunk, err = w.committer.pool.get(w.ctx)
	w.meta.Now = nowMicros()
	return err
}

func (w *copyWriter) end() error {
	t := w.table
	if err := t.encoder.EndGeneration(w.chunk, &w.meta); err != nil {
		return fmt.Errorf("end generation %d: %w", t.state.Generation, err)
	}
	t.state.Phase, t.state.Rows = cdc.TableStreaming, w.rows
	t.state.Cut = fmt.Sprintf("%x", w.meta.Position.AppendTo(nil))
	if err := w.committer.commitNow(w.ctx, part{chunk: w.chunk, changed: []cdc.StateChange{t.state}}); err != nil {
		return err
	}
	w.status.table(t, w.rows)
	w.Log.Info("table copied", zap.String("table", t.FullName()), zap.Int64("rows", w.rows), zap.Uint32("generation", t.state.Generation))
	return nil
}

func (w *copyWriter) quarantine() error {
	w.session.quarantine(w.table, w.refused)
	w.table.state.Rows = w.rows
	return w.committer.commitNow(w.ctx, part{chunk: w.chunk, changed: []cdc.StateChange{w.table.state}})
}

// quarantine takes one table out (rule: failure has three scopes): its changes are no longer written, the others go on. The
// caller commits the table's state.
func (s *session) quarantine(t *liveTable, reason error) {
	t.state.Phase, t.state.Reason = cdc.TableQuarantined, cdc.OneLine(reason).Error()
	s.status.table(t, t.state.Rows)
	s.Metrics.quarantined.WithLabelValues(t.FullName()).Set(1)
	s.Log.Error("table quarantined: its changes are no longer written, the other tables go on", zap.String("table", t.FullName()), zap.Error(reason))
}

// mark is a place in a chunk to which it can be taken back.
type mark struct{ records, bytes int }

func markOf(c *cdc.Chunk) mark { return mark{len(c.Records), len(c.Bytes)} }

// oversize takes back what was appended behind the mark if a record of it is larger than the sink takes.
func (o *Options) oversize(c *cdc.Chunk, m mark) error {
	if o.MaxRecord == 0 || len(c.Bytes)-m.bytes <= o.MaxRecord {
		return nil
	}
	for i := m.records; i < len(c.Records); i++ {
		if size := c.Records[i].End - c.Records[i].Key; size > o.MaxRecord {
			c.Records, c.Bytes = c.Records[:m.records], c.Bytes[:m.bytes]
			return fmt.Errorf("a row makes a record of %d bytes, at most %d fit. Try: raise kafka.max_message_bytes, or withhold the column", size, o.MaxRecord)
		}
	}
	return nil
}
