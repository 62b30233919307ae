package clinic

import (
	"context"
	"fmt"
	"time"

	"dirtbike/cmd/internal/wait"
)

// beatEvery is the time between two heartbeats.
const beatEvery = 250 * time.Millisecond

// CommittedAt is when a heartbeat that was seen elsewhere was committed here, that is when Postgres' answer arrived:
// commit → queryable latency is the moment of seeing it minus this. It is given once; false if this Workload did not
// make it.
func (w *Workload) CommittedAt(number int64) (time.Time, bool) {
	at, known := w.committed.LoadAndDelete(number)
	if !known {
		return time.Time{}, false
	}
	return at.(time.Time), true
}

// pulse moves the heartbeat on, four times a second, until ctx is over.
func (w *Workload) pulse(ctx context.Context, pgURL string) error {
	conn, err := Connect(ctx, pgURL)
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
		w.committed.Store(number, time.Now())
		w.beats.Add(1)
		return nil
	})
}
