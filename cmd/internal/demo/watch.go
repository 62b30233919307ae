package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"dirtbike/cmd/internal/demo/clinic"

	"github.com/ClickHouse/clickhouse-go/v2"
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
func (w *watch) run(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.ask(ctx)
		}
	}
}

func (w *watch) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var beat int64
	query := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"database": database}))
	if err := w.clickhouse.QueryRow(query, "SELECT beat FROM {database:Identifier}.heartbeats WHERE id = 1").Scan(&beat); err != nil {
		return // ClickHouse may be the one that is being killed
	}
	w.saw(beat, time.Now())
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

// latency is what was measured so far.
type latency struct{ last, p50, p99 time.Duration }

// latency gives the quantiles; false before the first heartbeat.
func (w *watch) latency() (latency, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.latencies)
	if n == 0 {
		return latency{}, false
	}
	sorted := slices.Sorted(slices.Values(w.latencies))
	return latency{last: w.latencies[n-1], p50: sorted[n/2], p99: sorted[min(n*99/100, n-1)]}, true
}

// sawAfter reports whether a beat committed after t has been seen.
func (w *watch) sawAfter(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seenAt.After(t)
}
