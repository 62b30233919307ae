package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
)

// follow streams the log from the stored point until something fails or ctx ends.
func (s *session) follow(ctx context.Context) error {
	from := s.state.Point.Reported
	stream, err := s.o.Source.Stream(ctx, from, s.binary())
	if err != nil {
		return fmt.Errorf("start replication at %s: %w", from, err)
	}
	defer func() { _ = stream.Close(context.WithoutCancel(ctx)) }() // the connection ends either way
	s.live = newLive(stream.Wake)
	s.committer.listen(func(d cdc.Durable) {
		stream.Report(d)
		s.report.status.durable(d)
	}, s.live.woken)
	s.report.status.phase(cdc.PhaseStreaming)
	s.report.log.Info("following the log", zap.Stringer("from", from))
	drift, topics := s.newDriftWatch(), s.newTopicWatch()
	f := &follower{session: s, stream: stream, drift: drift, topics: topics, stored: s.state.Point, point: s.state.Point}
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, stream.Wake)
	defer stop()
	// an idle stream is kept moving: the server answers a nudge with how far its log reaches
	defer every(ctx, idleInterval, func(context.Context, time.Time) { _ = stream.Nudge() })() // Next reports why the connection is gone
	defer drift.start(ctx, stream.Wake)()
	defer topics.start(ctx, stream.Wake)()
	due := s.copiesDue()
	group.Go(func() error { return f.run(ctx) })
	group.Go(func() error { return s.copyBeside(ctx, due) })
	return group.Wait()
}

// idleInterval is how often an idle source is asked how far its log reaches.
const idleInterval = 250 * time.Millisecond

// binary reports whether every captured table can be decoded from binary (rule 30). Of a quarantined one nothing is
// decoded.
func (s *session) binary() bool {
	return !slices.ContainsFunc(s.tables, func(t *table) bool { return !t.listed.Binary && !t.quarantined() })
}

// follower turns the stream's events into parts for the committer.
//
//	for each event:
//	    Begin       note the transaction; is it stored already?
//	    Relation    compare it with what its encoder was compiled from
//	    row         count its ordinal; encode it, if it is wanted;
//	                send the chunk if it is full, with the point inside the transaction
//	    Commit      the point moves to the transaction's end; answer the committer
//	    keepalive   between transactions: the point moves to the server's walEnd; answer the committer
//	    Wake        answer the committer
//
// Invariants:
//   - Ordinals count every row that pgoutput delivers, before any filter (rule 1): also those of other tables, and of
//     transactions that are stored already.
//   - A part's point covers the rows of the part and of all before it, and no others. It is between transactions, or
//     Partial inside one (rule 7); then Reported stays where it was.
//   - A change at or before the stored point is not written again: a whole transaction is passed over, of a split one
//     the rows before the next ordinal.
//   - What cannot be carried costs its table only; before the table's cut it costs nothing.
//
// The follower decides nothing about time: it holds what it read until the chunk is full or the committer asks.
// Rejected: a part for each transaction, which makes commits of single rows; a timer here, a second clock in addition
// to the committer's.
type follower struct {
	session *session
	stream  cdc.Stream
	drift   *driftWatch
	topics  *topicWatch

	stored cdc.Point // where the last session stopped
	point  cdc.Point // the newest one between transactions
	dirty  bool      // point or changed moved since the last answer

	chunk   *cdc.Chunk        // what was read and not sent; nil if nothing was
	changed []cdc.StateChange // that belong to it

	inside bool      // between Begin and Commit
	skip   bool      // the transaction is stored already
	meta   cdc.Meta  // of the present transaction; Position.Ordinal is the last ordinal used
	last   *relation // of the row before: rows of one table come in runs
	oid    uint32    // of last
}

func (f *follower) run(ctx context.Context) error {
	for {
		e, err := f.stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the replication stream after %s: %w", f.point.Reported, err)
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
		if err := f.await(ctx, e.Described.OID); err != nil {
			return err
		}
		return f.relation(e.Described)
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
	f.meta = cdc.Meta{Position: cdc.Position{Epoch: f.session.state.Source.Epoch, CommitLSN: e.CommitLSN}, XID: e.XID, CommitTime: e.CommitTime, Now: nowMicros()}
	f.skip = e.CommitLSN < stored.CommitLSN || e.CommitLSN == stored.CommitLSN && !f.stored.Partial && stored.Ordinal > 0
	return nil
}

// lostRest says that the log went past a transaction of which a part is stored (rule 7).
func (f *follower) lostRest() error {
	at := f.stored.Position
	return cdc.Gap("of the transaction at %s only the changes before number %d are in Kafka, and Postgres no longer sends it", at.CommitLSN, at.Ordinal).
		Fix(cdc.ResnapshotAllCommand)
}

// wanted gives the relation if its row at the present ordinal must be written.
func (f *follower) wanted(oid uint32) (*relation, error) {
	if f.last == nil || f.oid != oid {
		f.last, f.oid = f.session.relations[oid], oid
	}
	switch r := f.last; {
	case r == nil, r.table.quarantined(), f.skip:
		return nil, nil
	case f.stored.Partial && f.meta.Position.Compare(f.stored.Position) < 0:
		return nil, nil
	case r.mismatch != nil:
		return nil, f.unfit(r.table, r.mismatch)
	}
	return f.last, nil
}

func (f *follower) row(ctx context.Context, e *cdc.Event) error {
	if err := f.await(ctx, e.Relation); err != nil {
		return err
	}
	f.meta.Position.Ordinal++
	f.meta.LSN = e.LSN
	r, err := f.wanted(e.Relation)
	if r != nil {
		err = f.write(ctx, r, e)
	}
	if err != nil {
		return err
	}
	if e.Kind == cdc.EventUpdate {
		f.meta.Position.Ordinal++ // every UPDATE takes two
	}
	return f.full(ctx)
}

// rowOps are the operations of the events that carry a row.
var rowOps = [...]cdc.Op{cdc.EventInsert: cdc.OpCreate, cdc.EventUpdate: cdc.OpUpdate, cdc.EventDelete: cdc.OpDelete}

// write encodes a row into the chunk. One that cannot be carried quarantines its table, unless a server did not answer.
func (f *follower) write(ctx context.Context, r *relation, e *cdc.Event) error {
	if err := f.room(ctx, r); err != nil {
		return err
	}
	change := cdc.RowChange{Op: rowOps[e.Kind], OldKind: e.OldKind, XID: f.meta.XID, Old: e.Old, New: e.New}
	err := r.append(ctx, f.chunk, &f.meta, change, f.session.o.MaxRecord)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, cdc.ErrUnreachable):
		return err
	}
	return f.unfit(r.table, fmt.Errorf("at %s: %w", f.meta.Position, err))
}

func (f *follower) truncate(ctx context.Context, e *cdc.Event) error {
	f.meta.LSN = e.LSN
	for _, oid := range e.Relations {
		if err := f.await(ctx, oid); err != nil {
			return err
		}
		f.meta.Position.Ordinal++
		r, err := f.wanted(oid)
		if r != nil {
			err = f.writeTruncate(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return f.full(ctx)
}

func (f *follower) writeTruncate(ctx context.Context, r *relation) error {
	if err := f.room(ctx, r); err != nil {
		return err
	}
	r.table.control(f.chunk, f.meta, cdc.ControlTruncate)
	f.change(r.table.state) // the number, with the record
	return nil
}

// relation compares a description of a relation with the one that its encoder was compiled from.
func (f *follower) relation(w *cdc.WireRelation) error {
	r := f.session.relations[w.OID]
	if r == nil {
		return f.tableReplaced(w)
	}
	if r.table.quarantined() {
		return nil
	}
	again := *r
	again.mismatch = f.session.o.Tables.Match(r.table.listed, w)
	f.session.relations[w.OID], f.last = &again, nil
	if again.mismatch != nil && !f.copied(r.table) {
		return f.quarantine(r.table, again.mismatch)
	}
	return nil
}

// copied reports whether the copy of the table includes the present transaction's changes.
func (f *follower) copied(t *table) bool {
	return f.inside && f.meta.Position.Compare(t.cut) < 0
}

// unfit is a change that cannot be carried. Before the table's cut it is skipped, since the copy includes its effect
// and load would ignore it. Otherwise it quarantines the table.
func (f *follower) unfit(t *table, reason error) error {
	if !f.copied(t) {
		return f.quarantine(t, reason)
	}
	f.session.report.metrics.leftOut.Inc()
	if !t.warnedSkipped {
		t.warnedSkipped = true
		f.session.report.log.Warn("changes from before the table's copy cannot be carried and are skipped; the copy includes their effect",
			zap.String("table", t.name()), zap.Error(reason))
	}
	return nil
}

// tableReplaced quarantines a captured table that was dropped and made again: rows of another OID have its name.
func (f *follower) tableReplaced(w *cdc.WireRelation) error {
	for _, t := range f.session.tables {
		if t.listed.Schema == w.Schema && t.listed.Name == w.Name && !t.quarantined() && !f.copied(t) {
			if err := f.quarantine(t, copyToFix(t.listed, "the table was dropped and made again")); err != nil {
				return err
			}
		}
	}
	return nil
}

// quarantine stops capturing a table; its state is committed with the rows that were read before.
func (f *follower) quarantine(t *table, reason error) error {
	if err := f.session.quarantine(t, reason); err != nil {
		return err
	}
	f.change(t.state)
	f.dirty = true
	return nil
}

// change adds a table's state to the next part, instead of an earlier one of the same table.
func (f *follower) change(state cdc.TableState) {
	f.changed = slices.DeleteFunc(f.changed, func(c cdc.StateChange) bool {
		earlier, is := c.(cdc.TableState)
		return is && earlier.Name() == state.Name()
	})
	f.changed = append(f.changed, state)
}

// full sends a full chunk on, with the point inside the present transaction.
func (f *follower) full(ctx context.Context) error {
	if f.chunk == nil || f.chunk.Size() < f.session.o.ChunkBytes {
		return nil
	}
	f.meta.Now = nowMicros()
	return f.session.committer.send(ctx, f.part(f.partial()))
}

// part takes what was read since the last part, up to the point.
func (f *follower) part(point cdc.Point) part {
	p := part{reached: &point, changed: f.changed, chunk: f.chunk}
	f.changed, f.chunk = nil, nil
	if p.chunk != nil && p.chunk.Empty() { // its only row could not be carried
		p.chunk.Release()
		p.chunk = nil
	}
	return p
}

// room gets a chunk for a record of the relation. An empty chunk is never held: other writers may wait for it.
func (f *follower) room(ctx context.Context, r *relation) (err error) {
	f.meta.Generation, f.meta.Controls, f.meta.Leaf = r.table.state.Generation, r.table.state.Controls, r.leaf
	if f.chunk == nil {
		f.chunk, err = f.session.committer.pool.get(ctx)
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
	f.session.live.unseen.add(f.meta.XID)
	f.session.report.metrics.transactions.Inc()
	if !f.skip {
		f.point.Position = f.meta.Position
		f.point.Position.Ordinal = max(f.point.Position.Ordinal, 1) // an empty transaction is whole, too
		f.point.Partial = false
	}
	f.advance(e.EndLSN, e.CommitTime, e.ServerTime)
	return f.between(ctx)
}

// keepalive advances an idle source: with no transaction open, everything up to walEnd has been delivered (rule 8).
func (f *follower) keepalive(ctx context.Context, e *cdc.Event) error {
	f.session.report.status.seen(e.WALEnd, e.ServerTime, e.ServerTime)
	if f.inside {
		return nil
	}
	if f.session.retryDue() {
		return errTryAgain
	}
	if f.point.Partial && e.WALEnd > f.point.Position.CommitLSN {
		return f.lostRest()
	}
	f.advance(e.WALEnd, e.ServerTime, e.ServerTime)
	if e.WALEnd == f.point.Reported {
		f.point.Time = later(f.point.Time, e.ServerTime, e.ServerTime) // goes out with the next commit
	}
	return f.between(ctx)
}

func (f *follower) advance(end cdc.LSN, at, now int64) {
	if end <= f.point.Reported {
		return
	}
	f.point.Reported, f.point.Time = end, later(f.point.Time, at, now)
	f.session.report.status.seen(end, at, now)
	f.dirty = true
}

// later gives the later of two times of the source's clock, neither of them beyond what that clock shows now (0: not
// known): a time that it no longer agrees with was that of a clock which was set back, or of another one, whose commits
// a subscription applied. It would stay the latest until the clock comes to it, perhaps for years.
func later(was, at, now int64) int64 {
	if now > 0 {
		was, at = min(was, now), min(at, now)
	}
	return max(was, at)
}

// answer gives the committer what it asks for. Between transactions that is the point reached; inside one what was read
// of it, if it is to be split (rule 7). Of a transaction that is stored already nothing waits.
func (f *follower) answer(ctx context.Context) error {
	asked, holds := f.session.committer.demand(), f.chunk != nil || len(f.changed) > 0
	switch {
	case asked == askNothing, asked == answered:
		return nil
	case f.inside && holds && !f.skip && (asked == askHeld || asked == askSplit):
		return f.session.committer.answer(ctx, f.part(f.partial()))
	case f.inside, asked < askPoint && !holds && !f.dirty:
		return nil
	}
	f.dirty = false
	return f.session.committer.answer(ctx, f.part(f.point))
}

// between is what the loop does between transactions: it quarantines what has drifted (the order of the log does not
// say when), and answers.
func (f *follower) between(ctx context.Context) error {
	if found := f.drift.found.Swap(nil); found != nil {
		for oid, reason := range found.tables {
			if r := f.session.relations[oid]; r != nil && !r.table.quarantined() {
				if err := f.quarantine(r.table, reason); err != nil {
					return err
				}
			}
		}
		if found.refused != nil {
			return found.refused
		}
	}
	if err := f.unfitTopics(); err != nil {
		return err
	}
	f.serve()
	return f.answer(ctx)
}
