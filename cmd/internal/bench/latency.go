package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Latency is what the measure of the same name found.
type Latency struct {
	Rate          int     // transactions per second asked for
	Achieved      float64 // and written
	Transactions  int
	Rows          int64 // that were in the table before
	P50, P99, Max time.Duration
}

// freshness is a run of the measure: transactions of one row each, and an observer who asks the view for rows he has
// not seen.
type freshness struct {
	*run
	*whole
	pipeline

	base int64          // ids up to here were there before
	sent []atomic.Int64 // when the transaction of base + 1 + index was sent, nanoseconds since began; 0 = not yet
	seen []time.Duration
	left int // transactions not seen yet
	low  int // index of the first one
	began,
	ended time.Time
}

// writers send the transactions, each with a connection of its own.
const writers = 4

// latency measures commit → queryable from when a transaction is sent, which is before its commit, to when an answer of
// the view shows it. The product is one process with both legs and its default settings, its table filled before.
func (r *run) latency(ctx context.Context, w *whole) error {
	l, peak, err := r.freshness(ctx, w, r.Self, "latency")
	if err != nil {
		return err
	}
	r.report.Latency = l
	r.report.Memory = append(r.report.Memory, Memory{fmt.Sprintf("dirtbike run, first copy of %s rows and %d transactions per second", count(l.Rows), r.Rate), peak})
	return nil
}

// freshness is the measure of one build, in a pipeline of that name; peak is the most memory that it had.
func (r *run) freshness(ctx context.Context, w *whole, binary, name string) (found *Latency, peak int64, err error) {
	n := int(r.For.Seconds() * float64(r.Rate))
	f := &freshness{
		run: r, whole: w, pipeline: pipeline{name: name, table: claims(), into: name},
		base: claims().rows(r.Rows), sent: make([]atomic.Int64, n), seen: make([]time.Duration, n), left: n,
	}
	r.say("%s: copying %s rows, then %d transactions at %d per second", MeasureLatency, count(f.base), n, r.Rate)
	if err := f.fill(ctx, f.pipeline, f.base); err != nil {
		return nil, 0, err
	}
	both, err := f.follow(ctx, binary, f.pipeline)
	if err != nil {
		return nil, 0, err
	}
	err = f.measure(ctx, both)
	peak, stopErr := both.stop()
	if err = errors.Join(err, stopErr, w.drop(ctx, f.into, f.into+"_raw")); err != nil {
		return nil, 0, fmt.Errorf("measure latency: %w", err)
	}
	slices.Sort(f.seen)
	found = &Latency{
		Rate: r.Rate, Achieved: float64(n) / f.ended.Sub(f.began).Seconds(), Transactions: n, Rows: f.base,
		P50: f.seen[n/2], P99: f.seen[min(n*99/100, n-1)], Max: f.seen[n-1],
	}
	r.say("%s: p50 %d ms, p99 %d ms", MeasureLatency, found.P50.Milliseconds(), found.P99.Milliseconds())
	return found, peak, nil
}

// measure writes and observes until every transaction was seen.
func (f *freshness) measure(ctx context.Context, both *leg) error {
	ctx, cancel := context.WithTimeout(ctx, f.For+5*time.Minute)
	defer cancel()
	f.began = time.Now()
	group, ctx := errgroup.WithContext(ctx)
	due := make(chan int, len(f.sent))
	group.Go(func() error { return f.pace(ctx, due) })
	writing, writingCtx := errgroup.WithContext(ctx)
	for range writers {
		writing.Go(func() error { return f.write(writingCtx, due) })
	}
	group.Go(func() error {
		err := writing.Wait()
		f.ended = time.Now()
		return err
	})
	group.Go(func() error { return f.observe(ctx, both) })
	return group.Wait()
}

// pace says when which transaction is due.
func (f *freshness) pace(ctx context.Context, due chan<- int) error {
	defer close(due)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for next := 0; next < len(f.sent); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		for until := int(time.Since(f.began).Seconds() * float64(f.Rate)); next < min(until, len(f.sent)); next++ {
			due <- next // never blocks: there is room for all
		}
	}
	return nil
}

// write sends transactions as they are due.
func (f *freshness) write(ctx context.Context, due <-chan int) error {
	conn, err := pgx.Connect(ctx, f.postgres(f.name))
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	insert := "INSERT INTO " + f.table.name + " SELECT " + f.table.values() + " FROM (SELECT $1::bigint AS i) row"
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
func (f *freshness) observe(ctx context.Context, both *leg) error {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for f.left > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d transactions were not seen: %w", f.left, ctx.Err())
		case <-ticker.C:
		}
		if err := both.ended(); err != nil {
			return err
		}
		if err := f.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *freshness) look(ctx context.Context) error {
	query := "SELECT id FROM " + quoted(f.into) + "." + quoted(f.table.name) + " WHERE id >= " + strconv.FormatInt(f.base+1+int64(f.low), 10)
	rows, err := f.ch.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("ask the view: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err is checked below
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("ask the view: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ask the view: %w", err)
	}
	now := time.Since(f.began)
	for _, id := range ids {
		if n := id - f.base - 1; f.seen[n] == 0 {
			f.seen[n] = now - time.Duration(f.sent[n].Load())
			f.left--
		}
	}
	for f.low < len(f.seen) && f.seen[f.low] > 0 {
		f.low++
	}
	return nil
}
