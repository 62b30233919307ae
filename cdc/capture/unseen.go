package capture

import (
	"slices"
	"sync"

	"dirtbike/cdc"
)

// unseen are transactions that were published while copies run and that other sessions may not see yet: a commit is in
// the log, and streamed, before others see it. It is safe for concurrent use.
type unseen struct {
	mu        sync.Mutex
	copies    int // that run
	published []uint32
}

// begin must be called before a copy's first range, and end after its last.
func (u *unseen) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.copies++; u.copies == 1 {
		u.published = nil
	}
}

func (u *unseen) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.copies--
}

// add notes a transaction that was published.
func (u *unseen) add(xid uint32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.copies > 0 {
		u.published = append(u.published, xid)
	}
}

// now gives those that a range must see that begins now.
func (u *unseen) now() []uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.published)
}

// forget drops those that a snapshot sees, as later ones do.
func (u *unseen) forget(seen cdc.Visibility) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.published = slices.DeleteFunc(u.published, seen.Sees)
}

// view decides whether a snapshot may give a copy its next range: it must see all that was published when the range
// began, or a row could be older than a change that came before it.
//
// What was published before the copy began is not known, nor what a transaction wrote before the table was in the
// publication, which is never sent. So whatever ran when the first range was to be read must have ended.
type view struct {
	unseen *unseen
	looked bool
	former []uint64 // what ran at the first look and has not ended
	// missing are the transactions that the last snapshot should have seen.
	missing []uint64
}

func (w *view) shows(now cdc.Visibility, began []uint32) bool {
	if !w.looked {
		w.looked, w.former = true, now.Running
	}
	w.former = slices.DeleteFunc(w.former, func(id uint64) bool { return !slices.Contains(now.Running, id) })
	w.unseen.forget(now)
	w.missing = append(w.missing[:0], w.former...)
	for _, xid := range began {
		if !now.Sees(xid) {
			w.missing = append(w.missing, uint64(xid))
		}
	}
	return len(w.missing) == 0
}
