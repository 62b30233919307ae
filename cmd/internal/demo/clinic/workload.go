package clinic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Options say how hard the workload works.
type Options struct {
	// Clients is the number of connections that write at the same time; zero means 4.
	Clients int
	// RatePerSecond is the number of transactions per second of all clients together; zero means as many as they can.
	RatePerSecond float64
	// Seed starts the clients' choices, together with what was done to the database before, so that a second run makes
	// new visits. What they change also depends on the order in which they run.
	Seed uint64
}

// Workload changes a filled clinic as its staff would: new visits and claims, adjudication, address moves, new vital
// signs next to untouched large notes, voided claims that go with all their lines and payments. A claim's amounts stay
// the sums of its lines and payments throughout. The zero value is ready.
type Workload struct {
	// transactions that changed something and their rows, counted as Postgres counts them: by statement, so that a row
	// updated twice in a transaction counts twice; all without beats, updates of the heartbeat.
	transactions, inserted, updated, deleted, beats atomic.Int64
	// retries are transactions rolled back for a deadlock or a serialisation failure and run again.
	retries atomic.Int64

	committed sync.Map // time.Time by number of the heartbeat: of those that CommittedAt was not asked for
}

// Changes is how many rows it has committed so far, without heartbeats. It may be called at any time.
func (w *Workload) Changes() int64 { return w.inserted.Load() + w.updated.Load() + w.deleted.Load() }

// Run works on the clinic at pgURL until ctx is over, then lets each transaction in flight end, so that the counters
// are exact, and returns nil. Any error but a deadlock or serialisation failure ends all clients and is returned. It
// may be called again after it has returned; one Workload at a time works on a database.
func (w *Workload) Run(ctx context.Context, pgURL string, o Options) error {
	if o.Clients <= 0 {
		o.Clients = 4
	}
	limit := rate.Inf
	if o.RatePerSecond > 0 {
		limit = rate.Limit(o.RatePerSecond)
	}
	limiter := rate.NewLimiter(limit, o.Clients)
	targets, err := findTargets(ctx, pgURL, o.Seed)
	if err != nil {
		return stopped(ctx, err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.pulse(groupCtx, pgURL) })
	for i := range o.Clients {
		c := &client{work: w, targets: targets, stream: newStream(o.Seed, tagWorkload)}
		c.seek(o.Seed^mix(targets.salt), tagWorkload, int64(i))
		group.Go(func() error { return c.run(groupCtx, pgURL, limiter) })
	}
	return stopped(ctx, group.Wait())
}

// stopped drops an error that only says that the caller has had enough.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// client is one connection's work.
type client struct {
	*stream
	work    *Workload
	targets *targets
	conn    *pgx.Conn
}

// changes are the rows of one transaction.
type changes struct{ inserted, updated, deleted int64 }

// transactionTimeout bounds a transaction that goes on after the workload was stopped.
const transactionTimeout = 30 * time.Second

// maxRetries bounds the retries of one transaction; more than a few in a row means something holds a lock for good.
const maxRetries = 20

// run commits one transaction after another until ctx is over.
func (c *client) run(ctx context.Context, pgURL string, limiter *rate.Limiter) error {
	var err error
	if c.conn, err = Connect(ctx, pgURL); err != nil {
		return fmt.Errorf("connect a client of the clinic: %w", err)
	}
	defer closeConn(ctx, c.conn)
	for limiter.Wait(ctx) == nil {
		if err := c.commitOne(ctx, actions[actionOf.draw(c.stream)]); err != nil {
			return err
		}
	}
	return nil
}

// commitOne runs an action in a transaction of its own, again if Postgres says that it met another one.
func (c *client) commitOne(ctx context.Context, a action) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		var made changes
		err := pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) (err error) {
			made, err = a.do(c, ctx, tx)
			return err
		})
		switch {
		case err == nil:
			c.work.count(made)
			return nil
		case collided(err) && attempt < maxRetries:
			c.work.retries.Add(1)
		default:
			return fmt.Errorf("workload, %s: %w", a.name, err)
		}
	}
}

// count adds a committed transaction.
func (w *Workload) count(made changes) {
	if made == (changes{}) {
		return
	}
	w.transactions.Add(1)
	w.inserted.Add(made.inserted)
	w.updated.Add(made.updated)
	w.deleted.Add(made.deleted)
}

// collided reports whether running the transaction again is the cure (serialization_failure, deadlock_detected).
func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
