package capture

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"dirtbike/cdc"
)

// committer is the sink's only user while a session runs, and the only one that decides when to commit.
//
// Writers (the follower, any number of copiers) send it parts: a chunk to write, the changes of the state that belong
// to its rows and, from the follower, the point reached with them. The order of one writer's parts is kept.
//
//	for each part, clock or writer without a chunk:
//	    write the part's chunk; note its point and its changes of the state
//	    decide (clocks): commit everything written with the last point noted, or ask the follower for a point
//
// Invariants:
//   - A point is committed only after every chunk sent with it or before it: each chunk of the follower carries its
//     point, so that the open Kafka transaction always holds exactly the rows up to the point noted, plus rows of
//     copies, which no point covers.
//   - Changes of the state are committed together with the rows that were sent with them.
//   - Listeners are given a point only as a Durable.
//   - No writer waits for a chunk forever: when the sink may hold chunks until its Commit, a commit is made; when the
//     follower holds the rest, it is asked for it.
//
// The follower answers instead of pushing each transaction, so that under load a batch is as large as the time that the
// sink was busy, and an idle sink commits at once. Rejected: each writer commits by its own clocks (two could not write
// at the same time, since each committed the point it knew); a lock around the chunk being filled (every row would pay
// for it).
type committer struct {
	sink      cdc.Sink
	pool      *chunkPool
	clocks    clocks
	metrics   *Metrics
	parts     chan part
	unwritten atomic.Int32 // parts with a point that are sent and not written
	demanded  atomic.Int32 // a demand
	listener  atomic.Pointer[listener]

	// Only run uses the fields below.
	reached   cdc.Point // with everything written
	reachedAt time.Time
	startedAt time.Time // the last commit; zero before the first
	durableAt time.Time
	batch     batch
}

// part is what a writer sends. Every field may be empty.
type part struct {
	chunk   *cdc.Chunk
	reached *cdc.Point // what is stored once the chunk is; nil for rows that no point covers
	changed []cdc.StateChange
	answers bool          // the committer asked for it
	durable chan struct{} // closed when it is durable; the writer waits for that
	call    func()        // another use of the sink; the part has nothing else then
}

// batch is what has come since the last commit.
type batch struct {
	situation // bytes, open, inside and given
	changed   []cdc.StateChange
	waiting   []chan struct{}
}

// listener is called on the committer's goroutine.
type listener struct {
	committed func(cdc.Durable)
	wake      func() // the follower is asked for something
}

// newCommitter makes a committer for a session that begins at a point.
func newCommitter(sink cdc.Sink, pool *chunkPool, c clocks, m *Metrics, from cdc.Point) *committer {
	out := &committer{sink: sink, pool: pool, clocks: c, metrics: m, parts: make(chan part, 2), reached: from}
	out.listen(func(cdc.Durable) {}, func() {})
	return out
}

// listen sets the listener that is called for commits and requests from now on.
func (c *committer) listen(committed func(cdc.Durable), wake func()) {
	c.listener.Store(&listener{committed, wake})
}

// send hands a part over; it blocks while the sink cannot keep up.
func (c *committer) send(ctx context.Context, p part) error {
	if p.reached != nil {
		c.unwritten.Add(1)
	}
	if p.chunk != nil {
		c.pool.sent(p.chunk)
	}
	select {
	case c.parts <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// commitNow sends a part and waits until it is durable.
func (c *committer) commitNow(ctx context.Context, p part) error {
	p.durable = make(chan struct{})
	if err := c.send(ctx, p); err != nil {
		return err
	}
	select {
	case <-p.durable:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ensureTopic is the sink's method, called between parts.
func (c *committer) ensureTopic(ctx context.Context, t *cdc.Topic) (created bool, err error) {
	answer := make(chan func() (bool, error), 1)
	call := func() {
		created, err := c.sink.EnsureTopic(ctx, t)
		answer <- func() (bool, error) { return created, err }
	}
	if err := c.send(ctx, part{call: call}); err != nil {
		return false, err
	}
	select {
	case answered := <-answer:
		return answered()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// demand is what the follower is asked for now; answered if it has answered already.
func (c *committer) demand() demand { return demand(c.demanded.Load()) }

// answer sends the point that was asked for.
func (c *committer) answer(ctx context.Context, p part) error {
	c.demanded.Store(int32(answered))
	p.answers = true
	return c.send(ctx, p)
}

// run works until ctx ends or the sink fails; the error is the session's end.
func (c *committer) run(ctx context.Context) error {
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case p := <-c.parts:
			if err := c.write(ctx, p); err != nil {
				return err
			}
		case <-c.pool.wanted:
		case <-timer.C:
		}
		if err := c.decide(ctx, timer); err != nil {
			return err
		}
	}
}

func (c *committer) write(ctx context.Context, p part) error {
	if p.call != nil {
		p.call()
		return nil
	}
	if p.chunk != nil {
		accepted, err := c.sink.Write(ctx, p.chunk)
		if err != nil {
			return fmt.Errorf("write to Kafka: %w", err)
		}
		c.metrics.records.Add(float64(accepted.Records()))
		c.metrics.bytes.Add(float64(accepted.Bytes()))
		c.batch.bytes += accepted.Bytes()
	}
	c.batch.open = c.batch.open || p.chunk != nil || len(p.changed) > 0
	c.batch.changed = append(c.batch.changed, p.changed...)
	if p.durable != nil {
		c.batch.waiting = append(c.batch.waiting, p.durable)
	}
	if p.reached != nil {
		c.reached, c.reachedAt = *p.reached, time.Now()
		c.batch.inside, c.batch.given = p.reached.Partial, c.batch.given || p.answers
		c.unwritten.Add(-1)
	}
	if p.answers {
		c.demanded.Store(int32(askNothing))
	}
	return nil
}

// decide commits if it is time to, asks the follower for what it should give, and sets the timer. Nothing is repeated
// before the first commit, which is a start's own.
func (c *committer) decide(ctx context.Context, timer *time.Timer) error {
	s := c.situation()
	if c.clocks.commit(s) != "" {
		if err := c.commit(ctx); err != nil {
			return err
		}
		s = c.situation()
	}
	if c.startedAt.IsZero() {
		return nil
	}
	timer.Reset(c.clocks.wait(s))
	// what the follower is asked for already, or has answered, stays
	ask := c.clocks.ask(s)
	if now := c.demanded.Load(); demand(now) < ask && c.demanded.CompareAndSwap(now, int32(ask)) {
		c.listener.Load().wake()
	}
	return nil
}

func (c *committer) situation() situation {
	s := c.batch.situation
	s.writerWaits, s.unwritten, s.exhausted = len(c.batch.waiting) > 0, c.unwritten.Load() > 0, len(c.parts) == 0 && c.pool.exhausted()
	if !c.startedAt.IsZero() {
		now := time.Now()
		s.sinceStarted, s.sinceCommit, s.sincePoint = now.Sub(c.startedAt), now.Sub(c.durableAt), now.Sub(c.reachedAt)
	}
	return s
}

func (c *committer) commit(ctx context.Context) error {
	c.startedAt = time.Now()
	durable, err := c.sink.Commit(ctx, c.reached, c.batch.changed...)
	if err != nil {
		return fmt.Errorf("commit to Kafka up to %s: %w", c.reached.Position, err)
	}
	c.durableAt = time.Now()
	c.metrics.commits.Inc()
	c.metrics.reported.Set(float64(durable.Point().Reported))
	c.listener.Load().committed(durable)
	for _, done := range c.batch.waiting {
		close(done)
	}
	c.batch = batch{}
	if now := c.demanded.Load(); demand(now) != answered {
		c.demanded.CompareAndSwap(now, int32(askNothing))
	}
	return nil
}
