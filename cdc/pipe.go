package cdc

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// pipe is the way from the encoders to the sink: a bounded pool of chunks, and one goroutine that is the sink's only user, so
// that encoding goes on while a Kafka transaction commits. Jobs keep their order.
//
// Invariant: a point is committed only after every chunk sent before it, and committed is called only with a Durable.
type pipe struct {
	sink     Sink
	pool     *chunkPool
	jobs     chan job
	busy     atomic.Int32 // jobs sent and not finished
	listener atomic.Pointer[listener]
	metrics  *Metrics

	// beating says that the pipe itself repeats the last point when nobody commits for long (rule 4): so it is while tables
	// are copied. While the log is followed only the follower knows which point the written records belong to.
	beating atomic.Bool
	last    struct {
		point Point
		at    time.Time // zero before the first commit
	}
}

// listener is told what the sink has done, on the sink's goroutine.
type listener struct {
	committed func(Durable)
	wake      func() // a job is finished
}

// job is a chunk to write, or a commit, or both in this order.
type job struct {
	chunk  *Chunk
	commit *commit
}

type commit struct {
	point   Point
	changed []StateChange
	done    chan Durable // nil, or told when durable
}

func newPipe(sink Sink, pool *chunkPool, m *Metrics) *pipe {
	p := &pipe{sink: sink, pool: pool, jobs: make(chan job, 2), metrics: m}
	p.listen(func(Durable) {}, func() {})
	p.beating.Store(true)
	return p
}

// listen sets who is told from now on.
func (p *pipe) listen(committed func(Durable), wake func()) {
	p.listener.Store(&listener{committed, wake})
}

// run works off the jobs until ctx ends or the sink fails; the error is the session's end.
func (p *pipe) run(ctx context.Context) error {
	beat := time.NewTicker(heartbeat / 8)
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
		return nil
	}
	return p.commit(ctx, j.commit)
}

func (p *pipe) commit(ctx context.Context, c *commit) error {
	durable, err := p.sink.Commit(ctx, c.point, c.changed...)
	if err != nil {
		return fmt.Errorf("commit to Kafka up to %s: %w", c.point.Position, err)
	}
	p.last.point, p.last.at = c.point, time.Now()
	p.metrics.durable(durable)
	p.listener.Load().committed(durable)
	if c.done != nil {
		c.done <- durable
	}
	return nil
}

// beat repeats the last point, so that a capture that was fenced while it copies notices and lets go.
func (p *pipe) beat(ctx context.Context) error {
	if !p.beating.Load() || p.last.at.IsZero() || time.Since(p.last.at) < heartbeat {
		return nil
	}
	return p.commit(ctx, &commit{point: p.last.point})
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
func (p *pipe) commitNow(ctx context.Context, c *Chunk, point Point, changed ...StateChange) error {
	done := make(chan Durable, 1)
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
