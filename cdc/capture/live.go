package capture

import (
	"context"

	"dirtbike/cdc"
)

// live is how copies work beside the stream: the follower alone changes tables and relations, so they ask it.
type live struct {
	boundaries chan boundary
	unseen     unseen
	asked      chan struct{} // signalled when the committer asks, for a follower that waits for a range
	wake       func()        // the follower's stream
	holds      int           // of the follower: tables that are held
}

// boundary is what the follower does for somebody between two transactions.
type boundary struct {
	do   func(*follower) error
	done chan error
}

func newLive(wake func()) *live {
	return &live{boundaries: make(chan boundary, 16), asked: make(chan struct{}, 1), wake: wake}
}

// woken is what the committer calls when it asks for something.
func (l *live) woken() {
	select {
	case l.asked <- struct{}{}:
	default: // signalled already
	}
	l.wake()
}

// at has the follower call a function between two transactions, and gives its error. A long transaction delays it.
func (l *live) at(ctx context.Context, do func(*follower) error) error {
	b := boundary{do, make(chan error, 1)}
	select {
	case l.boundaries <- b:
		l.wake()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-b.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// serve does what is asked of the follower between two transactions.
func (f *follower) serve() {
	for {
		select {
		case b := <-f.session.live.boundaries:
			b.done <- b.do(f)
		default:
			return
		}
	}
}

// hold keeps a table's changes back from here on. What was read before is sent on: the range comes after it.
func (f *follower) hold(ctx context.Context, t *table, h *hold) error {
	if f.chunk != nil || len(f.changed) > 0 {
		if err := f.session.committer.send(ctx, f.part(f.point)); err != nil {
			return err
		}
	}
	f.drop(t)
	t.held = h
	f.session.live.holds++
	return nil
}

// drop lets the changes of a table go on whose range is read, or was given up.
func (f *follower) drop(t *table) {
	if t.held != nil {
		t.held = nil
		f.session.live.holds--
	}
}

// here is the position that a range has which is read from here on: above all changes that were published, and at or
// below those that follow.
func (f *follower) here() cdc.Position {
	return cdc.Position{Epoch: f.session.state.Source.Epoch, CommitLSN: f.point.Reported}
}
