package capture

import (
	"context"
	"errors"
	"sync"
	"time"
)

// hold keeps a table's changes back while a range of it is read, so that the range comes to the topic at its place:
// after all changes that it includes, and before all others. The follower stops at the table's next change until the
// range is read; other tables go on. One that takes too long is broken, and its range read again.
type hold struct {
	patience time.Duration
	done     chan struct{} // closed once the range is read
	once     sync.Once

	mu     sync.Mutex
	waited bool // a change of the table came
	broken bool
}

// errBroken says that the follower could not wait for a range.
var errBroken = errors.New("changes of the table came while a range of it was read")

// send calls a function that sends rows of the range, unless the hold is broken.
func (h *hold) send(fn func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return errBroken
	}
	return fn()
}

// release lets the table's changes go on. It may be called again.
func (h *hold) release() { h.once.Do(func() { close(h.done) }) }

// wait notes that a change of the table waits.
func (h *hold) wait() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waited = true
}

// kept reports whether a change of the table waited.
func (h *hold) kept() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waited
}

// giveUp breaks the hold: nothing more of the range is sent.
func (h *hold) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = true
}

// await waits until no range of the relation's table is being read. The committer gets its answers meanwhile: it may be
// the one that the range waits for. It must be called before the event's ordinal is counted.
func (f *follower) await(ctx context.Context, oid uint32) error {
	if f.session.live.holds == 0 {
		return nil
	}
	r := f.session.relations[oid]
	if r == nil || r.table.held == nil {
		return nil
	}
	h := r.table.held
	h.wait()
	patience := time.NewTimer(h.patience)
	defer patience.Stop()
	for {
		select {
		case <-h.done:
			f.drop(r.table)
			return nil
		case <-patience.C:
			h.giveUp()
			f.drop(r.table)
			return nil
		case <-f.session.live.asked:
			if err := f.answer(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
