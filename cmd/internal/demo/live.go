package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/cmd/internal/wait"
)

// clients write to the clinic at the same time, ratePerSecond transactions together.
const (
	clients       = 4
	ratePerSecond = 150
)

// live keeps the clinic busy and shows what arrives, until ctx ends; capture and ClickHouse are killed once each on the
// way.
func (d *demo) live(ctx context.Context) error {
	until := "until Ctrl-C"
	if d.For > 0 {
		until = "for " + d.For.String()
	}
	d.screen.heading(fmt.Sprintf("The clinic is at work %s: %d clients insert, update and delete", until, clients))
	group, ctx := errgroup.WithContext(ctx)
	show := &liveShow{demo: d, workload: &clinic.Workload{}, began: time.Now()}
	show.watch = &watch{demo: d, workload: show.workload}
	show.kills = &kills{demo: d, watch: show.watch, began: show.began}
	group.Go(func() error {
		return show.workload.Run(ctx, d.stack.Postgres.DatabaseURL(database), clinic.Options{Clients: clients, RatePerSecond: ratePerSecond, Seed: seed})
	})
	group.Go(func() error { return show.watch.run(ctx) })
	if d.Kill {
		group.Go(func() error { return show.kills.run(ctx) })
	}
	group.Go(func() error { return show.run(ctx) })
	err := group.Wait()
	show.kills.stop()
	d.screen.plain("%s", show.draw())
	d.screen.keep()
	return err
}

// liveShow draws the live part.
type liveShow struct {
	*demo
	workload *clinic.Workload
	watch    *watch
	kills    *kills
	began    time.Time
	history  []sample // of the last rateWindow
	lag      string
}

// sample is how much had been committed at a time.
type sample struct {
	at      time.Time
	changes int64
}

// rateWindow is over how long changes per second are counted.
const rateWindow = 3 * time.Second

// showEvery is how often the block is drawn.
const showEvery = 500 * time.Millisecond

func (s *liveShow) run(ctx context.Context) error {
	return wait.Repeat(ctx, showEvery, func() error {
		s.askLag(ctx)
		s.draw()
		return s.healthy()
	})
}

// askLag asks Postgres how much of its log capture has not confirmed yet: it answers while capture is dead, too.
func (s *liveShow) askLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var bytes int64
	const query = `SELECT (pg_current_wal_flush_lsn() - confirmed_flush_lsn)::bigint FROM pg_replication_slots WHERE slot_name = $1`
	if err := s.lagConn.QueryRow(ctx, query, s.config.Source.Slot).Scan(&bytes); err == nil {
		s.lag = humanize.IBytes(uint64(max(bytes, 0)))
	}
}

// labelWidth is the width of the block's first column.
const labelWidth = 22

// draw shows the figures, and gives them in one line.
func (s *liveShow) draw() string {
	changes, rate := s.rate()
	millis := func(t time.Duration) string { return humanize.Comma(t.Milliseconds()) + " ms" }
	last, p50, p99 := "–", "–", "–"
	if l := s.watch.measured(); len(l) > 0 {
		sorted := slices.Sorted(slices.Values(l))
		last, p50, p99 = millis(l[len(l)-1]), millis(sorted[len(l)/2]), millis(sorted[min(len(l)*99/100, len(l)-1)])
	}
	passed := time.Since(s.began).Seconds()
	row := func(label, format string, args ...any) string {
		return fmt.Sprintf("  %-*s ", labelWidth, label) + fmt.Sprintf(format, args...)
	}
	lines := []string{
		row("running", "%10s", fmt.Sprintf("%.0f s", passed)),
		row("rows copied", "%10s", humanize.Comma(s.copied)),
		row("changes committed", "%10s   %8s/s", changes, rate),
		row("commit → queryable", "%10s   p50 %8s   p99 %8s", last, p50, p99),
		row("slot lag", "%10s", s.lag),
	}
	line := fmt.Sprintf("  %.0f s: %s changes committed, %s/s; commit → queryable last %s, p50 %s, p99 %s; slot lag %s", passed, changes, rate, last, p50, p99, s.lag)
	s.screen.update(append(lines, s.kills.lines()...), line)
	return line
}

// rate gives the changes committed so far, and per second.
func (s *liveShow) rate() (changes, perSecond string) {
	now := time.Now()
	newest := sample{now, s.workload.Changes()}
	s.history = append(s.history, newest)
	for now.Sub(s.history[0].at) > rateWindow {
		s.history = s.history[1:]
	}
	first := s.history[0]
	perSecond = "–"
	if passed := now.Sub(first.at); passed >= showEvery {
		perSecond = humanize.Comma(int64(float64(newest.changes-first.changes) / passed.Seconds()))
	}
	return humanize.Comma(newest.changes), perSecond
}
