package verify

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

const (
	// lockInterval is how often it is asked what the comparison waits for in Postgres; what is found twice is said.
	lockInterval = 2 * time.Second
	// lockAgain is when it is said again.
	lockAgain = 30 * time.Second
)

// watchLocks tells OnWait whose lock keeps the comparison waiting, until the function that it gives is called. It has a
// connection of its own, once the comparison has lasted a while; errors are not reported, since the comparison meets
// them.
func (v *verifier) watchLocks(ctx context.Context) (done func()) {
	if v.OnWait == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		var conn *pgx.Conn
		var news lockNews
		tick := time.NewTicker(lockInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				closeConn(context.WithoutCancel(ctx), conn)
				return
			}
			if conn == nil || conn.IsClosed() {
				conn, _ = postgres.Login{URL: v.Source, Name: postgres.MonitorName}.Connect(ctx) // else at the next tick
			}
			if conn == nil {
				continue
			}
			if found, err := postgres.WaitsOf(ctx, conn, "verify", v.pids[0].Load(), v.pids[1].Load()); err == nil {
				if line := news.heard(found, time.Now()); line != "" {
					v.OnWait(line)
				}
			}
		}
	})
	return func() { cancel(); watching.Wait() }
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	if conn != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing is open on it
	}
}

// lockNews is what has been found, and said.
type lockNews struct {
	found, said string
	at          time.Time // when said was
}

// heard takes what is waited for now, nil for nothing, and gives the line to say; "" for none.
func (n *lockNews) heard(p *cdc.Problem, now time.Time) (line string) {
	before := *n
	if p == nil {
		if *n = (lockNews{}); before.said != "" {
			return "what verify waited for in Postgres has ended; it goes on"
		}
		return ""
	}
	n.found = p.Error()
	if n.found != before.found || n.found == n.said && now.Sub(n.at) < lockAgain {
		return ""
	}
	n.said, n.at = n.found, now
	return n.found
}
