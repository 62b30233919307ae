package clinic

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"dirtbike/cmd/internal/wait"
)

// beatEvery is the time between two heartbeats.
const beatEvery = 250 * time.Millisecond

// beatsKept is how many heartbeats CommittedAt remembers: about 17 minutes.
const beatsKept = 4096

// heart is the memory of the last beats.
type heart struct {
	sync.Mutex
	beats [beatsKept]beat // by number modulo beatsKept
}

// beat is one committed value of public.heartbeats, row 1: the column beat, and when Postgres' answer to the commit
// arrived here.
type beat struct {
	number    int64
	committed time.Time
}

// CommittedAt is when a heartbeat that was seen elsewhere was committed here: commit → queryable latency is the moment
// of seeing it minus this. False if this Workload did not make it or has made 4,096 since.
func (w *Workload) CommittedAt(number int64) (time.Time, bool) {
	if number <= 0 {
		return time.Time{}, false
	}
	w.heart.Lock()
	defer w.heart.Unlock()
	b := w.heart.beats[number%beatsKept]
	return b.committed, b.number == number
}

// record remembers a beat.
func (h *heart) record(b beat) {
	h.Lock()
	defer h.Unlock()
	h.beats[b.number%beatsKept] = b
}

// pulse moves the heartbeat on, four times a second, until ctx is over.
func (w *Workload) pulse(ctx context.Context, pgURL string) error {
	conn, err := pgx.Connect(ctx, pgURL)
	if err != nil {
		return fmt.Errorf("connect the heartbeat: %w", err)
	}
	defer closeConn(ctx, conn)
	return wait.Repeat(ctx, beatEvery, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
		defer cancel()
		var number int64
		err := conn.QueryRow(ctx, "UPDATE public.heartbeats SET beat = beat + 1, at = clock_timestamp() WHERE id = 1 RETURNING beat").Scan(&number)
		if err != nil {
			return fmt.Errorf("move the heartbeat on: %w", err)
		}
		w.heart.record(beat{number, time.Now()})
		w.beats.Add(1)
		return nil
	})
}
