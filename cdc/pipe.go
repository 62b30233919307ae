package cdc

import (
	"context"
	"fmt"
	"sync/atomic"
)

// pipe is the way from the encoders to the sink: a bounded pool of chunks, and one goroutine that is the sink's only user, so
// that encoding goes on while a Kafka transaction commits. Jobs keep their order.
//
// Invariant: a point is committed only after every chunk sent before it, and committed is called only with a Durable.
type pipe struct {
	sink      Sink
	pool      *chunkPool
	jobs      chan job
	busy      atomic.Int32 // jobs sent and not finished
	committed func(Durable)
	wake      func()
	fault     Fault
	metrics   *Metrics
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

func newPipe(sink Sink, pool *chunkPool, fault Fault, m *Metrics) *pipe {
	return &pipe{
		sink: sink, pool: pool, jobs: make(chan job, 2), fault: fault, metrics: m,
		committed: func(Durable) {}, wake: func() {},
	}
}

// run works off the jobs until ctx ends or the sink fails; the error is the session's end.
func (p *pipe) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case j := <-p.jobs:
			if err := p.work(ctx, j); err != nil {
				return err
			}
			p.busy.Add(-1)
			p.wake()
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
	durable, err := p.sink.Commit(ctx, j.commit.point, j.commit.changed...)
	if err != nil {
		return fmt.Errorf("commit to Kafka up to %s: %w", j.commit.point.Position, err)
	}
	p.metrics.durable(durable)
	p.committed(durable)
	if j.commit.done != nil {
		j.commit.done <- durable
	}
	return nil
}

// idle reports whether the sink has nothing to do, so that a commit would start at once.
func (p *pipe) idle() bool { return p.busy.Load() == 0 }

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
