package cdc

import (
	"context"
	"errors"
	"fmt"
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
	s.pipe.committed = func(d Durable) {
		stream.Report(d)
		s.status.durable(d)
	}
	s.pipe.wake = stream.Wake
	s.status.phase(PhaseStreaming)
	s.status.healthy()
	s.Log.Info("following the log", zap.Stringer("from", s.state.Point.Reported))
	f := &follower{session: s, stream: stream, stored: s.state.Point, point: s.state.Point, submitted: time.Now()}
	stop := context.AfterFunc(ctx, stream.Wake)
	defer stop()
	idle := time.NewTicker(s.IdleInterval)
	defer idle.Stop()
	go tick(ctx, idle, stream)
	if f.chunk, err = s.pipe.pool.get(ctx); err != nil {
		return err
	}
	return f.run(ctx)
}

// binary reports whether every captured table can be decoded from binary (rule 30).
func (s *session) binary() bool {
	for _, t := range s.live {
		if !t.Binary {
			return false
		}
	}
	return true
}

// tick keeps an idle stream moving: the server answers with how far its log reaches, and the loop gets to look at the clock.
func tick(ctx context.Context, idle *time.Ticker, stream Stream) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			if err := stream.Nudge(); err != nil {
				return // Next reports why the connection is gone
			}
			stream.Wake()
		}
	}
}

// follower is the loop over the stream's events.
//
// Invariants: ordinals count every row pgoutput delivers, before any filter (rule 1); a point is submitted only at a
// transaction's end, or as Partial inside one that is too large (rule 7); a transaction at or below the stored point is not
// written again.
type follower struct {
	*session
	stream Stream
	stored Point // where the last life stopped: what is at or below it is skipped
	point  Point // the newest point that may be submitted
	dirty  bool  // point or changed moved since the last submit

	chunk     *Chunk
	changed   []StateChange
	sent      int64 // bytes sent since the last commit
	submitted time.Time
	timer     *time.Timer

	inside bool       // between Begin and Commit
	skip   bool       // the transaction is stored already
	meta   Meta       // of the present transaction; Position.Ordinal is the last ordinal used
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

func (f *follower) event(ctx context.Context, e *Event) error {
	switch e.Kind {
	case EventInsert, EventUpdate, EventDelete:
		return f.row(ctx, e)
	case EventTruncate:
		return f.truncate(ctx, e)
	case EventBegin:
		return f.begin(e)
	case EventCommit:
		return f.commit(ctx, e)
	case EventRelation:
		f.relation(e.Described)
		return nil
	case EventKeepalive:
		return f.keepalive(ctx, e)
	case EventWake:
		return f.submit(ctx)
	case EventNone:
	}
	return fmt.Errorf("the stream delivered an event of unknown kind %d at %s", e.Kind, e.LSN)
}

func (f *follower) begin(e *Event) error {
	if f.inside {
		return fmt.Errorf("transaction %d begins at %s inside another", e.XID, e.LSN)
	}
	f.inside = true
	f.meta = Meta{Position: Position{Epoch: f.state.Source.Epoch, CommitLSN: e.CommitLSN}, XID: e.XID, CommitTime: e.CommitTime, Now: nowMicros()}
	f.skip = e.CommitLSN < f.stored.Position.CommitLSN || e.CommitLSN == f.stored.Position.CommitLSN && !f.stored.Partial && f.stored.Position.Ordinal > 0
	return nil
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
	case f.stored.Partial && f.meta.Position.CommitLSN == f.stored.Position.CommitLSN && f.meta.Position.Ordinal < f.stored.Position.Ordinal:
		return nil
	}
	return t
}

func (f *follower) row(ctx context.Context, e *Event) error {
	f.meta.Position.Ordinal++
	f.meta.LSN = e.LSN
	if t := f.wanted(e.Relation); t != nil {
		f.meta.Generation = t.state.Generation
		if err := f.encode(ctx, t, e); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, ErrUnreachable) {
				return err
			}
			f.refuse(t, fmt.Errorf("at %s: %w", f.meta.Position, err))
		}
	}
	if e.Kind == EventUpdate {
		f.meta.Position.Ordinal++ // every UPDATE takes two
	}
	return f.full(ctx)
}

func (f *follower) encode(ctx context.Context, t *liveTable, e *Event) error {
	switch e.Kind { //nolint:exhaustive // row is called for these three only
	case EventInsert:
		return t.encoder.Insert(f.chunk, &f.meta, e.New)
	case EventUpdate:
		return t.encoder.Update(ctx, f.chunk, &f.meta, e.OldKind, e.Old, e.New)
	default:
		return t.encoder.Delete(f.chunk, &f.meta, e.OldKind, e.Old)
	}
}

func (f *follower) truncate(ctx context.Context, e *Event) error {
	f.meta.LSN = e.LSN
	for _, relation := range e.Relations {
		f.meta.Position.Ordinal++
		t := f.wanted(relation)
		if t == nil {
			continue
		}
		f.meta.Generation = t.state.Generation
		if err := t.encoder.Truncate(f.chunk, &f.meta); err != nil {
			f.refuse(t, fmt.Errorf("TRUNCATE at %s: %w", f.meta.Position, err))
		}
	}
	return f.full(ctx)
}

func (f *follower) relation(w *WireRelation) {
	t := f.live[w.OID]
	if t == nil || t.quarantined() {
		return
	}
	if err := f.Tables.Match(t.Table, w); err != nil {
		f.refuse(t, err)
	}
}

func (f *follower) refuse(t *liveTable, reason error) {
	f.quarantine(t, reason)
	f.changed = append(f.changed, t.state)
	f.dirty = true
}

// full sends a full chunk on; when the Kafka transaction has grown too large it is committed with a partial point.
func (f *follower) full(ctx context.Context) error {
	if len(f.chunk.Bytes) < f.ChunkBytes {
		return nil
	}
	f.sent += int64(len(f.chunk.Bytes))
	j := job{chunk: f.chunk}
	if f.sent >= f.MaxTransaction {
		j.commit = &commit{point: f.partial(), changed: f.changed}
		f.sent, f.changed = 0, nil
	}
	if err := f.pipe.send(ctx, j); err != nil {
		return err
	}
	var err error
	f.chunk, err = f.pipe.pool.get(ctx)
	f.meta.Now = nowMicros()
	return err
}

// partial is the point inside the present transaction: everything before the next ordinal is stored.
func (f *follower) partial() Point {
	next := f.meta.Position
	next.Ordinal++
	return Point{Position: next, Partial: true, Reported: f.point.Reported, Time: f.point.Time}
}

func (f *follower) commit(ctx context.Context, e *Event) error {
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
	return f.submit(ctx)
}

// keepalive advances an idle source: with no transaction open, everything up to walEnd has been delivered (rule 8).
func (f *follower) keepalive(ctx context.Context, e *Event) error {
	f.status.seen(e.WALEnd, e.ServerTime)
	if !f.inside {
		f.advance(e.WALEnd, e.ServerTime)
	}
	return f.submit(ctx)
}

func (f *follower) advance(end LSN, at int64) {
	if end <= f.point.Reported {
		return
	}
	f.point.Reported, f.point.Time = end, max(f.point.Time, at)
	f.status.seen(end, at)
	f.dirty = true
}

// submit closes the batch and hands it to the sink, if the sink is free and the last commit is not too recent; the sink
// wakes the loop when it has become free, so that nothing waits longer than needed.
func (f *follower) submit(ctx context.Context) error {
	if f.inside || !(f.dirty || time.Since(f.submitted) > heartbeat) || !f.pipe.idle() {
		return nil
	}
	if wait := f.CommitInterval - time.Since(f.submitted); wait > 0 {
		f.wakeIn(wait)
		return nil
	}
	j := job{commit: &commit{point: f.point, changed: f.changed}}
	var next *Chunk
	if len(f.chunk.Records) > 0 {
		var err error
		if next, err = f.pipe.pool.get(ctx); err != nil {
			return err
		}
		j.chunk, f.chunk = f.chunk, next
	}
	f.changed, f.dirty, f.sent, f.submitted = nil, false, 0, time.Now()
	return f.pipe.send(ctx, j)
}

func (f *follower) wakeIn(wait time.Duration) {
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, f.stream.Wake)
		return
	}
	f.timer.Reset(wait)
}
