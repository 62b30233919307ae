package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"dirtbike/cmd/internal/wait"
	"dirtbike/docker/embedded"
)

// Latency is the result of the measure of the same name.
type Latency struct {
	Rate          int     // transactions per second asked for
	Achieved      float64 // and sent
	Transactions  int
	Rows          int64 // that were in the table before
	P50, P99, Max time.Duration
}

// freshness is a run of the measure: transactions of one row each, and an observer that asks the view for rows that it
// has not seen.
type freshness struct {
	*whole
	pipeline

	base int64          // ids up to here existed before
	sent []atomic.Int64 // when the transaction of base + 1 + index was sent, nanoseconds since began; 0 = not yet
	seen []time.Duration
	left int // transactions not seen yet
	low  int // index of the first one

	began time.Time
}

// writers send the transactions, each with a connection of its own.
const writers = 4

// latency measures commit → queryable from when a transaction is sent, which is before its commit, to when an answer of
// the view shows it. The product is one process with both legs and its default settings, its table filled before.
func (w *whole) latency(ctx context.Context) error {
	l, peak, err := w.freshness(ctx, w.Self, "latency")
	if err != nil {
		return err
	}
	w.report.Latency = l
	w.report.Memory = append(w.report.Memory, Memory{fmt.Sprintf("dirtbike run, first copy of %s rows and %d transactions per second", count(l.Rows), w.Rate), peak})
	return nil
}

// freshness measures one build, in a pipeline of that name; peak is its peak memory.
func (w *whole) freshness(ctx context.Context, binary, name string) (found *Latency, peak int64, err error) {
	n := int(w.For.Seconds() * float64(w.Rate))
	f := &freshness{
		whole: w, pipeline: pipeline{name: name, table: claims(), into: name},
		base: claims().rows(w.Rows), sent: make([]atomic.Int64, n), seen: make([]time.Duration, n), left: n,
	}
	w.say("%s: copying %s rows, then %d transactions at %d per second", MeasureLatency, count(f.base), n, w.Rate)
	if err := f.fill(ctx, f.pipeline, f.base); err != nil {
		return nil, 0, err
	}
	both, err := f.follow(ctx, binary, f.pipeline)
	if err != nil {
		return nil, 0, err
	}
	err = f.measure(ctx, both)
	peak, stopErr := stop(both)
	if err = errors.Join(err, stopErr, w.drop(ctx, f.into, f.into+"_raw")); err != nil {
		return nil, 0, fmt.Errorf("measure latency: %w", err)
	}
	slices.Sort(f.seen)
	found = &Latency{
		Rate: w.Rate, Achieved: float64(n) / time.Duration(f.sent[n-1].Load()).Seconds(), Transactions: n, Rows: f.base,
		P50: f.seen[n/2], P99: f.seen[min(n*99/100, n-1)], Max: f.seen[n-1],
	}
	w.say("%s: p50 %d ms, p99 %d ms", MeasureLatency, found.P50.Milliseconds(), found.P99.Milliseconds())
	return found, peak, nil
}

// measure writes and observes until every transaction was seen.
func (f *freshness) measure(ctx context.Context, both *embedded.Process) error {
	ctx, cancel := context.WithTimeout(ctx, f.For+5*time.Minute)
	defer cancel()
	f.began = time.Now()
	group, ctx := errgroup.WithContext(ctx)
	due := make(chan int, len(f.sent))
	group.Go(func() error { return f.pace(ctx, due) })
	for range writers {
		group.Go(func() error { return f.write(ctx, due) })
	}
	group.Go(func() error { return f.observe(ctx, both) })
	return group.Wait()
}

// pace says when which transaction is due.
func (f *freshness) pace(ctx context.Context, due chan<- int) error {
	defer close(due)
	next := 0
	return wait.Every(ctx, time.Millisecond, func() (bool, error) {
		for until := int(time.Since(f.began).Seconds() * float64(f.Rate)); next < min(until, len(f.sent)); next++ {
			due <- next // never blocks: there is room for all
		}
		return next == len(f.sent), nil
	})
}

// write sends transactions as they are due.
func (f *freshness) write(ctx context.Context, due <-chan int) error {
	conn, err := login(f.stack.Postgres.DatabaseURL(f.name)).Connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	insert := "INSERT INTO " + f.table.inPostgres() + " SELECT " + f.table.values() + " FROM (SELECT $1::bigint AS i) row"
	for n := range due {
		f.sent[n].Store(int64(time.Since(f.began)))
		if _, err := conn.Exec(ctx, insert, f.base+1+int64(n)); err != nil {
			return fmt.Errorf("insert a row: %w", err)
		}
	}
	return nil
}

// askEvery is how often the observer asks, if the answer does not take longer.
const askEvery = 20 * time.Millisecond

// observe asks the view for all ids from the first one that it has not shown yet, which are few.
func (f *freshness) observe(ctx context.Context, both *embedded.Process) error {
	err := wait.Every(ctx, askEvery, func() (bool, error) {
		if err := both.Ended(); err != nil {
			return false, err
		}
		err := f.askView(ctx)
		return f.left == 0, err
	})
	if err != nil {
		return fmt.Errorf("%d transactions were not seen: %w", f.left, err)
	}
	return nil
}

func (f *freshness) askView(ctx context.Context) error {
	query := "SELECT id AS ID FROM " + quoted(f.into) + "." + quoted(f.table.name) + " WHERE id >= " + strconv.FormatInt(f.base+1+int64(f.low), 10)
	var rows []struct{ ID int64 }
	if err := f.ch.Select(ctx, &rows, query); err != nil {
		return fmt.Errorf("ask the view: %w", err)
	}
	now := time.Since(f.began)
	for _, row := range rows {
		if n := row.ID - f.base - 1; f.seen[n] == 0 {
			f.seen[n] = now - time.Duration(f.sent[n].Load())
			f.left--
		}
	}
	for f.low < len(f.seen) && f.seen[f.low] > 0 {
		f.low++
	}
	return nil
}
