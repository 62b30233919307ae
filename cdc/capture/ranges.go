package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// rangeCopy copies a table beside the stream, range by range of its key (rule 15).
//
//	for each range, between two transactions:
//	    hold the table's changes; X is the follower's point
//	    read the range in a snapshot that sees all that was published (else let go, and read again)
//	    send its rows at position X; let the changes go on
//	    note the range's last key in the state, so that a copy that was cut short goes on after it
//	when the follower has passed the end of the log as the last range saw it: the end marker
//
// Invariant: when a range comes to the topic, all that was published of the table lies below X, the range includes the
// effect of all of it, and what follows lies at or above X. So a row of the range is outranked by what follows it and
// outranks what came before; an `unchanged` record has its base before it, or its row to come at a higher version.
// What the range's snapshot saw of later transactions comes once more, at its own position.
//
// Rejected: one snapshot for the whole copy, which Postgres keeps rows for as long as it lives, and which a restart
// loses; ranges whose rows are sent later than changes that they lack, which is right by version, but not for readers
// of a compacted topic, which keeps what came last.
type rangeCopy struct {
	session *session
	table   *table
	reader  cdc.RangeReader
	encoder cdc.TableEncoder // its own: the follower goes on with the table's
	// generation is the one that is copied: where the table has another by now, the copy is over.
	generation uint32
	after      cdc.Key
	limit      int
	broken     int // holds in a row that were given up
	rows       int64
	chunk      *cdc.Chunk
	view       view
	waits      waitingCopy
}

const (
	leastRange, firstRange, mostRange = 16, 1_000, 50_000 // rows
	// quickRange and slowRange bound how long a range should take for which changes of its table wait.
	quickRange, slowRange = 25 * time.Millisecond, 100 * time.Millisecond
	// rangePatience is how long the follower waits for a range; after patientAfter ranges that were given up it is
	// lastPatience, so that a copy comes to its end beside any traffic.
	rangePatience, lastPatience = 200 * time.Millisecond, 10 * time.Second
	patientAfter                = 3
)

// errCopyOver says that the table does not need this copy any more.
var errCopyOver = errors.New("the copy is not needed any more")

// copyRanges copies one table. Trouble of the table's own quarantines it; an error is another's.
func (s *session) copyRanges(ctx context.Context, t *table) error {
	c := &rangeCopy{session: s, table: t, limit: firstRange, view: view{unseen: &s.live.unseen}}
	s.live.unseen.begin()
	defer s.live.unseen.end()
	err := c.run(ctx)
	if c.chunk != nil {
		c.chunk.Release()
	}
	if c.reader != nil {
		c.reader.Close(context.WithoutCancel(ctx))
	}
	switch trouble := cdc.OfOneTable(err); {
	case err == nil, errors.Is(err, errCopyOver):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, cdc.ErrTableChanged):
		return c.refuse(ctx, copyToFix(t.listed, "the table was altered while it was copied"))
	case trouble != nil:
		return c.refuse(ctx, trouble)
	}
	return fmt.Errorf("copy table %s: %w", t.name(), err)
}

// refuse quarantines the table.
func (c *rangeCopy) refuse(ctx context.Context, reason error) error {
	err := c.at(ctx, func(f *follower) error {
		c.table.state.Rows = c.rows
		return f.quarantine(c.table, reason)
	})
	if errors.Is(err, errCopyOver) {
		return nil
	}
	return err
}

// at is live.at while the copy is needed.
func (c *rangeCopy) at(ctx context.Context, do func(*follower) error) error {
	return c.session.live.at(ctx, func(f *follower) error {
		if st := &c.table.state; st.Phase != cdc.TableCopying || c.generation != 0 && st.Generation != c.generation {
			return errCopyOver
		}
		return do(f)
	})
}

func (c *rangeCopy) run(ctx context.Context) (err error) {
	if err := c.begin(ctx); err != nil {
		return err
	}
	for {
		read, err := c.next(ctx)
		switch {
		case errors.Is(err, errBroken):
			c.broken++
			c.limit = max(c.limit/2, leastRange)
		case err != nil:
			return err
		case read.End:
			return c.end(ctx, read.Log)
		}
	}
}

// begin finds out where the copy stands, and makes what it needs.
func (c *rangeCopy) begin(ctx context.Context) (err error) {
	var copied string
	if err := c.at(ctx, func(*follower) error {
		if c.generation, copied = c.table.state.Generation, c.table.state.CopiedTo; copied != "" {
			c.rows = c.table.state.Rows
		}
		return nil
	}); err != nil {
		return err
	}
	if c.after, err = cdc.ParseKey(copied); err != nil {
		return &cdc.TableTrouble{Lasting: true, Err: err}
	}
	if c.encoder, err = c.session.o.Tables.Encoder(ctx, c.table.listed); err != nil {
		return err
	}
	c.reader, err = c.session.o.Tables.Ranges(c.table.listed)
	return err
}

// next copies the next range. errBroken says that it has to be read again.
func (c *rangeCopy) next(ctx context.Context) (read cdc.Range, err error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 2*time.Millisecond, time.Second
	return backoff.Retry(ctx, func() (cdc.Range, error) {
		read, err := c.once(ctx)
		c.waits.tell(ctx, c, err)
		if err == nil || errors.Is(err, cdc.ErrNotVisible) || errors.Is(err, cdc.ErrTableLocked) || errors.Is(err, errNotYet) {
			return read, err
		}
		return read, backoff.Permanent(err)
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0))
}

// errNotYet says that the follower has not come to where the table is as described.
var errNotYet = errors.New("the log has not been followed so far yet")

// once tries to copy the next range.
func (c *rangeCopy) once(ctx context.Context) (read cdc.Range, err error) {
	h := &hold{patience: rangePatience, done: make(chan struct{})}
	if c.broken >= patientAfter {
		h.patience = lastPatience
	}
	defer h.release()
	var meta cdc.Meta
	var began []uint32
	if err := c.at(ctx, func(f *follower) error {
		if f.point.Partial || f.here().Compare(c.table.cut) < 0 {
			return errNotYet
		}
		meta = cdc.Meta{
			Position: f.here(), LSN: f.here().CommitLSN, CommitTime: max(f.point.Time, 0), Now: nowMicros(),
			Generation: c.generation, Controls: c.table.state.Controls, Leaf: c.table.relation.leaf,
		}
		began = c.session.live.unseen.now()
		return f.hold(ctx, c.table, h)
	}); err != nil {
		return read, err
	}
	from, rows := time.Now(), c.rows
	read, err = c.reader.Read(ctx, c.after, c.limit, func(v cdc.Visibility) bool { return c.view.shows(v, began) },
		func(row cdc.Tuple) error { return c.row(ctx, h, &meta, row) })
	if err == nil {
		err = h.send(func() error { return c.flush(ctx) })
	}
	if err != nil {
		c.rows = rows
		c.forget()
		return read, err
	}
	h.release()
	c.pace(h, time.Since(from))
	return read, c.noted(ctx, read)
}

// pace chooses how many rows the next range has: as many as take slowRange, and more where no change waits for them.
func (c *rangeCopy) pace(h *hold, took time.Duration) {
	switch waited := h.kept(); {
	case waited && took > slowRange:
		c.limit = max(c.limit/2, leastRange)
	case !waited || took < quickRange:
		c.limit = min(c.limit*2, mostRange)
	}
}

// noted keeps in the state how far the copy has come, with the range's rows or after them.
func (c *rangeCopy) noted(ctx context.Context, read cdc.Range) error {
	c.broken = 0
	if c.after = read.Last; read.End {
		return nil
	}
	return c.at(ctx, func(f *follower) error {
		t := c.table
		if t.state.Rows = c.rows; t.listed.KeyStays {
			t.state.CopiedTo = c.after.Text()
		}
		f.change(t.state)
		c.session.report.status.table(t, c.rows)
		return nil
	})
}

// row encodes a row of the range.
func (c *rangeCopy) row(ctx context.Context, h *hold, meta *cdc.Meta, row cdc.Tuple) (err error) {
	if c.chunk == nil {
		if c.chunk, err = c.session.committer.pool.get(ctx); err != nil {
			return err
		}
	}
	if err := c.append(ctx, meta, row); err != nil {
		return &cdc.TableTrouble{Lasting: true, Err: err}
	}
	if c.rows++; len(c.chunk.Bytes) < c.session.o.ChunkBytes {
		return nil
	}
	return h.send(func() error { return c.flush(ctx) })
}

func (c *rangeCopy) append(ctx context.Context, meta *cdc.Meta, row cdc.Tuple) error {
	r := relation{table: c.table, encoder: c.encoder}
	return r.append(ctx, c.chunk, meta, cdc.RowChange{Op: cdc.OpRead, New: row}, c.session.o.MaxRecord)
}

// flush sends the rows on.
func (c *rangeCopy) flush(ctx context.Context) error {
	chunk := c.chunk
	if c.chunk = nil; chunk == nil {
		return nil
	}
	if chunk.Empty() {
		chunk.Release()
		return nil
	}
	c.session.o.Fault.At(cdc.FaultInCopy)
	return c.session.committer.send(ctx, part{chunk: chunk})
}

// forget drops rows of a range that is read again.
func (c *rangeCopy) forget() {
	if c.chunk != nil {
		c.chunk.Release()
		c.chunk = nil
	}
}

// end ends the copy once everything is published that its last range may have seen: until then the table may have rows
// of transactions of which the rest is still to come.
func (c *rangeCopy) end(ctx context.Context, seen cdc.LSN) error {
	wait := backoff.NewConstantBackOff(20 * time.Millisecond)
	_, err := backoff.Retry(ctx, func() (none struct{}, err error) {
		err = c.at(ctx, func(f *follower) error {
			if f.point.Reported < seen {
				return errNotYet
			}
			return f.endCopy(ctx, c.table, c.rows)
		})
		if errors.Is(err, errNotYet) {
			return none, err
		}
		return none, backoff.Permanent(err)
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0))
	return err
}

// endCopy writes the end marker of a table's generation; its state is committed with it.
func (f *follower) endCopy(ctx context.Context, t *table, rows int64) error {
	if f.chunk == nil {
		var err error
		if f.chunk, err = f.session.committer.pool.get(ctx); err != nil {
			return err
		}
	}
	meta := cdc.Meta{
		Position: t.cut, LSN: t.cut.CommitLSN, CommitTime: f.point.Time, Now: nowMicros(),
		Generation: t.state.Generation, Controls: t.state.Controls, Leaf: t.relation.leaf,
	}
	t.control(f.chunk, meta, cdc.ControlEnd)
	if err := t.ended(rows, t.cut); err != nil {
		return err
	}
	f.change(t.state)
	f.dirty = true
	f.drop(t)
	f.session.report.status.table(t, rows)
	f.session.report.log.Info("table copied", zap.String("table", t.name()), zap.Int64("rows", rows), zap.Uint32("generation", t.state.Generation))
	return nil
}
