package capture

import (
	"context"
	"dirtbike/cdc"
	"fmt"
	"sync/atomic"
	"time"
)

// pipe is the way from the encoders to the sink: a bounded pool of chunks, and one goroutine that is the sink's only user, so
// that encoding goes on while a Kafka transaction commits. Jobs keep their order.
//
// Invariants: a point is committed only after every chunk sent before it, and committed is called only with a Durable. When nobody
// commits for long the pipe does so itself (rule 4), whatever keeps the reader: the point is then the one that goes with the last
// chunk written, so that what is in the open Kafka transaction and what the state says stay one.
type pipe struct {
	sink     cdc.Sink
	pool     *chunkPool
	jobs     chan job
	busy     atomic.Int32 // jobs sent and not finished
	listener atomic.Pointer[listener]
	metrics  *Metrics

	// last is what a beat commits.
	last struct {
		commit
		at   time.Time // of the last commit; zero before the first
		open bool      // chunks with a point of their own were written since then
	}
}

// listener is told what the sink has done, on the sink's goroutine.
type listener struct {
	committed func(cdc.Durable)
	wake      func() // a job is finished
}

// job is a chunk to write, or a commit, or both in this order.
type job struct {
	chunk  *cdc.Chunk
	commit *commit
	// reached is what may be committed once the chunk is written, if it is not what was committed last: without it a beat would
	// commit records that the point does not cover, and they would come twice.
	reached *commit
}

type commit struct {
	point   cdc.Point
	changed []cdc.StateChange
	done    chan cdc.Durable // nil, or told when durable
}

func newPipe(sink cdc.Sink, pool *chunkPool, m *Metrics) *pipe {
	p := &pipe{sink: sink, pool: pool, jobs: make(chan job, 2), metrics: m}
	p.listen(func(cdc.Durable) {}, func() {})
	return p
}

// listen sets who is told from now on.
func (p *pipe) listen(committed func(cdc.Durable), wake func()) {
	p.listener.Store(&listener{committed, wake})
}

// run works off the jobs until ctx ends or the sink fails; the error is the session's end.
func (p *pipe) run(ctx context.Context) error {
	beat := time.NewTicker(heartbeat / 16)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-beat.C:
			if err := p.beat(ctx); err != nil {
				return err
			}
		case j := <-p.jobs:
			if err := p.work(ctx, j); err != nil {
				return err
			}
			p.busy.Add(-1)
			p.listener.Load().wake()
		}
	}
}

func (p *pipe) work(ctx context.Context, j job) error {
	if j.chunk != nil {
		accepted, err := p.sink.Write(ctx, j.chunk)
		if err != nil {
			return fmt.Errorf("write to Kafka: %w", err)
		}
		p.metrics.accepted(accepted)
	}
	if j.commit == nil {
		if j.reached != nil {
			p.last.commit, p.last.open = *j.reached, true
		}
		return nil
	}
	return p.commit(ctx, j.commit)
}

func (p *pipe) commit(ctx context.Context, c *commit) error {
	durable, err := p.sink.Commit(ctx, c.point, c.changed...)
	if err != nil {
		return fmt.Errorf("commit to Kafka up to %s: %w", c.point.Position, err)
	}
	p.last.commit, p.last.at, p.last.open = commit{point: c.point}, time.Now(), false
	p.metrics.durable(durable)
	p.listener.Load().committed(durable)
	if c.done != nil {
		c.done <- durable
	}
	return nil
}

// lateBeat is when the pipe commits because nobody else did; the follower itself does after a heartbeat, with a newer point.
const lateBeat = heartbeat + heartbeat/8

// beat commits what is written, or repeats the last point, so that a capture that was fenced notices and lets go, whatever it does:
// it copies, reads again what is stored already, or waits for a re-read. A Kafka transaction that is open for a source transaction
// is given its time.
func (p *pipe) beat(ctx context.Context) error {
	wait := lateBeat
	if p.last.open {
		wait = longestOpen
	}
	if p.last.at.IsZero() || time.Since(p.last.at) < wait {
		return nil
	}
	c := p.last.commit
	return p.commit(ctx, &c)
}

// idle reports whether the sink has nothing to do, so that a commit would start at once.
func (p *pipe) idle() bool { return p.busy.Load() == 0 }

// starved reports that every chunk is taken. A sink may keep chunks until its Commit, so whoever sends one now must send a
// commit with it, or all would wait for ever.
func (p *pipe) starved() bool { return len(p.pool.free) == 0 }

// send hands a job over; it blocks while the sink is behind.
func (p *pipe) send(ctx context.Context, j job) error {
	p.busy.Add(1)
	select {
	case p.jobs <- j:
		return nil
	case <-ctx.Done():
		p.busy.Add(-1)
		return context.Cause(ctx)
	}
}

// commitNow sends a chunk (nil for none) with a commit and waits until it is durable.
func (p *pipe) commitNow(ctx context.Context, c *cdc.Chunk, point cdc.Point, changed ...cdc.StateChange) error {
	done := make(chan cdc.Durable, 1)
	if err := p.send(ctx, job{chunk: c, commit: &commit{point: point, changed: changed, done: done}}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
