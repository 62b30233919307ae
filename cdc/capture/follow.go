package capture

import (
	"context"
	"dirtbike/cdc"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// follow streams the log from the stored point until something fails or ctx ends.
func (s *session) follow(ctx context.Context) error {
	stream, err := s.Source.Stream(ctx, s.state.Point.Reported, s.binary())
	if err != nil {
		return fmt.Errorf("start replication at %s: %w", s.state.Point.Reported, err)
	}
	defer func() { _ = stream.Close(context.WithoutCancel(ctx)) }() // the connection ends either way
	s.committer.listen(func(d cdc.Durable) {
		stream.Report(d)
		s.status.durable(d)
	}, stream.Wake)
	s.status.phase(cdc.PhaseStreaming)
	s.Log.Info("following the log", zap.Stringer("from", s.state.Point.Reported))
	if err := s.readCuts(); err != nil {
		return err
	}
	f := &follower{session: s, stream: stream, stored: s.state.Point, point: s.state.Point}
	stop := context.AfterFunc(ctx, stream.Wake)
	defer stop()
	done := s.tick(ctx, stream)
	defer done()
	watched := s.watchDrift(ctx, &f.drifts, stream.Wake)
	defer watched()
	return f.run(ctx)
}

// readCuts finds out below which positions each table's copy has everything.
func (s *session) readCuts() error {
	for _, t := range s.live {
		if t.state.Cut == "" {
			continue
		}
		packed, err := hex.DecodeString(t.state.Cut)
		if err == nil {
			t.cut, err = cdc.UnpackPosition(packed)
		}
		if err != nil {
			return fmt.Errorf("%w: the stored cut of %s cannot be read. Try: "+cdc.ResnapshotCommand(t.FullName()), cdc.ErrRefused, t.FullName())
		}
	}
	return nil
}

// binary reports whether every captured table can be decoded from binary (rule 30). Of a quarantined one nothing is decoded.
func (s *session) binary() bool {
	for _, t := range s.live {
		if !t.Binary && !t.quarantined() {
			return false
		}
	}
	return true
}

// tick keeps an idle stream moving: the server answers with how far its log reaches.
// The caller ends it with done, which waits for it.
func (s *session) tick(ctx context.Context, stream cdc.Stream) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		idle := time.NewTicker(s.IdleInterval)
		defer idle.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-idle.C:
				_ = stream.Nudge() // Next reports why the connection is gone
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}

// follower is the loop over the stream's events.
//
// Invariants: ordinals count every row pgoutput delivers, before any filter (rule 1); a point is submitted only at a
// transaction's end, or as Partial inside one that is too large (rule 7); a transaction at or below the stored point is not
// written again.
type follower struct {
	*session
	drifts drifts
	stream cdc.Stream
	stored cdc.Point // where the last life stopped: what is at or below it is skipped
	point  cdc.Point // the newest point that may be submitted
	dirty  bool      // point or changed moved since the last answer

	chunk   *cdc.Chunk        // what was read and not sent; nil if nothing was
	changed []cdc.StateChange // that belong to it

	inside bool       // between Begin and Commit
	skip   bool       // the transaction is stored already
	meta   cdc.Meta   // of the present transaction; Position.Ordinal is the last ordinal used
	last   *liveTable // of the row before: rows of one table come in runs
}

func (f *follower) run(ctx context.Context) error {
	for {
		e, err := f.stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the log behind %s: %w", f.point.Reported, err)
		}
		if err := f.event(ctx, e); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (f *follower) event(ctx context.Context, e *cdc.Event) error {
	switch e.Kind {
	case cdc.EventInsert, cdc.EventUpdate, cdc.EventDelete:
		return f.row(ctx, e)
	case cdc.EventTruncate:
		return f.truncate(ctx, e)
	case cdc.EventBegin:
		return f.begin(e)
	case cdc.EventCommit:
		return f.commit(ctx, e)
	case cdc.EventRelation:
		f.relation(e.Described)
		return nil
	case cdc.EventKeepalive:
		return f.keepalive(ctx, e)
	case cdc.EventWake:
		if f.inside {
			return f.answer(ctx)
		}
		return f.between(ctx)
	case cdc.EventNone:
	}
	return fmt.Errorf("the stream delivered an event of unknown kind %d at %s", e.Kind, e.LSN)
}

func (f *follower) begin(e *cdc.Event) error {
	if f.inside {
		return fmt.Errorf("transaction %d begins at %s inside another", e.XID, e.LSN)
	}
	stored := f.stored.Position
	if f.point.Partial && e.CommitLSN > stored.CommitLSN {
		return f.lostRest()
	}
	f.inside = true
	f.meta = cdc.Meta{Position: cdc.Position{Epoch: f.state.Source.Epoch, CommitLSN: e.CommitLSN}, XID: e.XID, CommitTime: e.CommitTime, Now: nowMicros()}
	f.skip = e.CommitLSN < stored.CommitLSN || e.CommitLSN == stored.CommitLSN && !f.stored.Partial && stored.Ordinal > 0
	return nil
}

// lostRest says that the log went past a transaction of which a part is stored (rule 7).
func (f *follower) lostRest() error {
	return fmt.Errorf("%w: of the transaction at %s only the changes before number %d are in Kafka, and Postgres no longer sends it. Try: "+cdc.ResnapshotAllCommand, cdc.ErrGap, f.stored.Position.CommitLSN, f.stored.Position.Ordinal)
}

// wanted reports whether the row at the present ordinal is to be written to the table of the relation.
func (f *follower) wanted(relation uint32) *liveTable {
	t := f.last
	if t == nil || t.OID != relation {
		t = f.live[relation]
		f.last = t
	}
	switch {
	case t == nil, t.quarantined(), f.skip:
		return nil
	case f.stored.Partial && f.meta.Position.Compare(f.stored.Position) < 0:
		return nil
	case t.past != nil:
		f.unfit(t, t.past)
		return nil
	}
	return t
}

func (f *follower) row(ctx context.Context, e *cdc.Event) error {
	f.meta.Position.Ordinal++
	f.meta.LSN = e.LSN
	if t := f.wanted(e.Relation); t != nil {
		if err := f.room(ctx); err != nil {
			return err
		}
		f.meta.Generation = t.state.Generation
		m := markOf(f.chunk)
		err := f.encode(ctx, t, e)
		if err == nil {
			err = f.oversize(f.chunk, m)
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, cdc.ErrUnreachable) {
				return err // the session is to blame, not the table
			}
			f.unfit(t, fmt.Errorf("at %s: %w", f.meta.Position, err))
		}
	}
	if e.Kind == cdc.EventUpdate {
		f.meta.Position.Ordinal++ // every UPDATE takes two
	}
	return f.full(ctx)
}

func (f *follower) encode(ctx context.Context, t *liveTable, e *cdc.Event) error {
	switch e.Kind { //nolint:exhaustive // row is called for these three only
	case cdc.EventInsert:
		return t.encoder.Insert(f.chunk, &f.meta, e.New)
	case cdc.EventUpdate:
		return t.encoder.Update(ctx, f.chunk, &f.meta, e.OldKind, e.Old, e.New)
	default:
		return t.encoder.Delete(f.chunk, &f.meta, e.OldKind, e.Old)
	}
}

func (f *follower) truncate(ctx context.Context, e *cdc.Event) error {
	f.meta.LSN = e.LSN
	for _, relation := range e.Relations {
		f.meta.Position.Ordinal++
		t := f.wanted(relation)
		if t == nil {
			continue
		}
		if err := f.room(ctx); err != nil {
			return err
		}
		f.meta.Generation = t.state.Generation
		if err := t.encoder.Truncate(f.chunk, &f.meta); err != nil {
			f.unfit(t, fmt.Errorf("TRUNCATE at %s: %w", f.meta.Position, err))
		}
	}
	return f.full(ctx)
}

// relation compares the description of a table with the one its encoder was compiled from, before its first row comes.
func (f *follower) relation(w *cdc.WireRelation) {
	t := f.live[w.OID]
	if t == nil {
		f.impostor(w)
		return
	}
	if t.quarantined() {
		return
	}
	t.past = f.Tables.Match(t.Table, w)
	if t.past != nil && !f.copied(t) {
		f.refuse(t, t.past)
	}
}

// copied reports whether the copy of the table has what became of the present transaction's changes.
func (f *follower) copied(t *liveTable) bool {
	return f.inside && f.meta.Position.Compare(t.cut) < 0
}

// unfit is a change that cannot be carried. Below the table's cut it is left out, since the copy has what became of it and load
// would ignore it: the table was copied again for its sake, or for a later one's. Otherwise it quarantines the table.
func (f *follower) unfit(t *liveTable, reason error) {
	if !f.copied(t) {
		f.refuse(t, reason)
		return
	}
	f.Metrics.leftOut.Inc()
	if !t.told {
		t.told = true
		f.Log.Warn("changes from before the table's copy cannot be carried and are left out; the copy has what became of them", zap.String("table", t.FullName()), zap.Error(reason))
	}
}

// impostor takes out a captured table in whose name another one sends rows: it was dropped and made again.
func (f *follower) impostor(w *cdc.WireRelation) {
	for _, t := range f.live {
		if t.Schema == w.Schema && t.Name == w.Name && !t.quarantined() && !f.copied(t) {
			f.refuse(t, errors.New("the table was dropped and made again. Try: "+cdc.ResnapshotCommand(t.FullName())))
		}
	}
}

func (f *follower) refuse(t *liveTable, reason error) {
	f.quarantine(t, reason)
	f.changed = append(f.changed, t.state)
	f.dirty = true
}

// full sends a full chunk on, with the point inside the present transaction.
func (f *follower) full(ctx context.Context) error {
	if f.chunk == nil || len(f.chunk.Bytes) < f.ChunkBytes {
		return nil
	}
	f.meta.Now = nowMicros()
	return f.committer.send(ctx, f.part(f.partial()))
}

// part takes what was read since the last part, up to the point.
func (f *follower) part(point cdc.Point) part {
	p := part{reached: &point, changed: f.changed}
	f.changed = nil
	if f.chunk != nil && len(f.chunk.Records) > 0 {
		p.chunk, f.chunk = f.chunk, nil
	}
	return p
}

// room takes a chunk to write to. None is held without a row in it: other writers may wait for it.
func (f *follower) room(ctx context.Context) (err error) {
	if f.chunk == nil {
		f.chunk, err = f.committer.pool.get(ctx)
	}
	return err
}

// partial is the point inside the present transaction: everything before the next ordinal is stored.
func (f *follower) partial() cdc.Point {
	next := f.meta.Position
	next.Ordinal++
	if f.stored.Partial && next.Compare(f.stored.Position) < 0 {
		next = f.stored.Position // more of it is stored already
	}
	return cdc.Point{Position: next, Partial: true, Reported: f.point.Reported, Time: f.point.Time}
}

func (f *follower) commit(ctx context.Context, e *cdc.Event) error {
	if !f.inside || e.CommitLSN != f.meta.Position.CommitLSN {
		return fmt.Errorf("commit of %s at %s without its begin", e.CommitLSN, e.LSN)
	}
	f.inside = false
	f.Metrics.transactions.Inc()
	if !f.skip {
		f.point.Position = f.meta.Position
		f.point.Position.Ordinal = max(f.point.Position.Ordinal, 1) // an empty transaction is whole, too
		f.point.Partial = false
	}
	f.advance(e.EndLSN, e.CommitTime)
	return f.between(ctx)
}

// keepalive advances an idle source: with no transaction open, everything up to walEnd has been delivered (rule 8).
func (f *follower) keepalive(ctx context.Context, e *cdc.Event) error {
	f.status.seen(e.WALEnd, e.ServerTime)
	if f.inside {
		return nil
	}
	if f.point.Partial && e.WALEnd > f.point.Position.CommitLSN {
		return f.lostRest()
	}
	f.advance(e.WALEnd, e.ServerTime)
	if e.WALEnd == f.point.Reported {
		f.point.Time = max(f.point.Time, e.ServerTime) // goes out with the next commit
	}
	return f.between(ctx)
}

func (f *follower) advance(end cdc.LSN, at int64) {
	if end <= f.point.Reported {
		return
	}
	f.point.Reported, f.point.Time = end, max(f.point.Time, at)
	f.status.seen(end, at)
	f.dirty = true
}

// answer gives the committer what it asks for. Between transactions that is the point reached; inside one only to split it, so that what
// was read of it does not wait for its rest (rule 7). Of a transaction that is stored already nothing waits.
func (f *follower) answer(ctx context.Context) error {
	asked := f.committer.request()
	switch {
	case asked == askNothing, asked == answered:
		return nil
	case f.inside && (asked < askSplit || f.skip || f.chunk == nil && len(f.changed) == 0):
		return nil
	case f.inside:
		return f.committer.answer(ctx, f.part(f.partial()))
	case asked < askPoint && !f.dirty:
		return nil
	}
	f.dirty = false
	return f.committer.answer(ctx, f.part(f.point))
}

// between is what the loop does between transactions.
func (f *follower) between(ctx context.Context) error {
	if err := f.settleDrift(); err != nil {
		return err
	}
	return f.answer(ctx)
}
