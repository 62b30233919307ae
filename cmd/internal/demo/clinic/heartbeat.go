package clinic

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// beatEvery is the time between two heartbeats.
const beatEvery = 250 * time.Millisecond

// beatsKept is how many heartbeats CommittedAt remembers: about 17 minutes.
const beatsKept = 4096

// Beat is one committed value of public.heartbeats, row 1.
type Beat struct {
	// Number is the column beat. Zero: there was none yet.
	Number int64
	// Committed is when Postgres' answer to the commit arrived here.
	Committed time.Time
}

// heart is the memory of the last beats.
type heart struct {
	sync.Mutex
	last  Beat
	beats [beatsKept]Beat // by Number modulo beatsKept
}

// LastCommit is the latest heartbeat. A reader of ClickHouse that finds its number, or a higher one, in heartbeats.beat
// sees that commit.
func (w *Workload) LastCommit() Beat {
	w.heart.Lock()
	defer w.heart.Unlock()
	return w.heart.last
}

// CommittedAt is when a heartbeat that was seen elsewhere was committed here: commit → queryable latency is the moment
// of seeing it minus this. False if this Workload did not make it or has made 4,096 since.
func (w *Workload) CommittedAt(beat int64) (time.Time, bool) {
	if beat <= 0 {
		return time.Time{}, false
	}
	w.heart.Lock()
	defer w.heart.Unlock()
	b := w.heart.beats[beat%beatsKept]
	return b.Committed, b.Number == beat
}

// record remembers a beat.
func (h *heart) record(b Beat) {
	h.Lock()
	defer h.Unlock()
	h.last = b
	h.beats[b.Number%beatsKept] = b
}

// pulse moves the heartbeat on, four times a second, until ctx is over.
func (w *Workload) pulse(ctx context.Context, pgURL string) error {
	conn, err := pgx.Connect(ctx, pgURL)
	if err != nil {
		return fmt.Errorf("connect the heartbeat: %w", err)
	}
	defer closeConn(ctx, conn)
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		if err := w.beat(ctx, conn); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// beat commits one heartbeat.
func (w *Workload) beat(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	var b Beat
	err := conn.QueryRow(ctx, `
		UPDATE public.heartbeats SET beat = beat + 1, at = clock_timestamp() WHERE id = 1 RETURNING beat`).Scan(&b.Number)
	if err != nil {
		return fmt.Errorf("move the heartbeat on: %w", err)
	}
	b.Committed = time.Now()
	w.heart.record(b)
	w.beats.Add(1)
	return nil
}
