package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/cmd/internal/wait"
)

// watch measures commit → queryable: it asks ClickHouse for the newest heartbeat, as a reporting user would, again and
// again.
type watch struct {
	*demo
	workload *clinic.Workload

	mu        sync.Mutex
	seen      int64
	seenAt    time.Time // when the newest beat that was seen had been committed
	latencies []time.Duration
}

const (
	// watchEvery bounds the error of a latency from above.
	watchEvery = 20 * time.Millisecond
	// latenciesKept are the newest ones, about 17 minutes.
	latenciesKept = 4096
)

// run asks until ctx ends.
func (w *watch) run(ctx context.Context) error {
	return wait.Repeat(ctx, watchEvery, func() error {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		var beat int64
		err := w.clickhouse.QueryRow(asking, "SELECT beat FROM "+database+".heartbeats WHERE id = 1").Scan(&beat)
		if err == nil { // ClickHouse may be the one that is being killed
			w.saw(beat, time.Now())
		}
		return nil
	})
}

// saw records the latency of every beat that has become visible: one that waited longer than its successors counts,
// too.
func (w *watch) saw(beat int64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == 0 {
		w.seen = beat - 1
	}
	for ; w.seen < beat; w.seen++ {
		if at, ok := w.workload.CommittedAt(w.seen + 1); ok {
			w.latencies = append(w.latencies, now.Sub(at))
			w.seenAt = at
		}
	}
	if over := len(w.latencies) - latenciesKept; over > 0 {
		w.latencies = slices.Delete(w.latencies, 0, over)
	}
}

// measured gives the latencies so far, the newest last.
func (w *watch) measured() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.latencies)
}

// sawAfter reports whether a beat committed after t has been seen.
func (w *watch) sawAfter(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seenAt.After(t)
}
