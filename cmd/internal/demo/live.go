package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/cmd/internal/ops"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/dustin/go-humanize"
)

// live keeps the clinic busy and shows what arrives, until ctx ends; capture and ClickHouse are killed once each on the way.
func (d *demo) live(ctx context.Context) error {
	d.screen.say("The clinic is at work: inserts, updates and deletes by 4 clients")
	workload := &clinic.Workload{}
	working, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- workload.Run(working, d.stack.Postgres.DatabaseURL(database), clinic.Options{Clients: 4, RatePerSecond: 150, Seed: seed})
	}()
	show := &liveShow{demo: d, workload: workload, began: time.Now(), killed: make(chan error, 1)}
	err := show.run(ctx)
	stop()
	err = errors.Join(err, <-done)
	if show.killing {
		err = errors.Join(err, <-show.killed)
	}
	return err
}

// liveShow is what the live part of the demo remembers.
type liveShow struct {
	*demo
	workload  *clinic.Workload
	began     time.Time
	before    int64
	beforeAt  time.Time
	seen      int64
	latencies []time.Duration
	lag       string
	kills     int
	killing   bool
	killed    chan error
	event     string
}

func (s *liveShow) run(ctx context.Context) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.killed:
			s.killing = false
			if err != nil {
				return err
			}
		case <-ticker.C:
		}
		if !s.killing {
			if err := s.healthy(); err != nil {
				return err
			}
		}
		s.beat(ctx)
		if i%10 == 0 {
			s.askLag(ctx)
			s.show()
		}
		s.killNext()
	}
}

// beat looks for the newest heartbeat that a reporting user can see: its age is commit → queryable.
func (s *liveShow) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var beat int64
	query := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"database": database}))
	if err := s.clickhouse.QueryRow(query, "SELECT beat FROM {database:Identifier}.heartbeats WHERE id = 1").Scan(&beat); err != nil || beat == s.seen {
		return // ClickHouse may be the one that is being killed
	}
	s.seen = beat
	if at, ok := s.workload.CommittedAt(beat); ok {
		s.latencies = append(s.latencies, time.Since(at))
	}
}

func (s *liveShow) askLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if status, err := s.status(ctx); err == nil {
		s.lag = lagText(status)
		return
	}
	s.lag = "unknown (capture does not answer)"
}

func (s *liveShow) show() {
	counts := s.workload.Counts()
	changed := int64(counts.Inserted + counts.Updated + counts.Deleted)
	now := time.Now()
	rate := 0.0
	if !s.beforeAt.IsZero() {
		rate = float64(changed-s.before) / now.Sub(s.beforeAt).Seconds()
	}
	s.before, s.beforeAt = changed, now
	s.screen.update(
		fmt.Sprintf("  %3.0f s   %s changes committed, %s/s", time.Since(s.began).Seconds(), humanize.Comma(changed), humanize.Comma(int64(rate))),
		"  commit → queryable in ClickHouse: "+s.quantiles(),
		"  slot lag: "+s.lag,
		"  "+s.event,
	)
}

func (s *liveShow) quantiles() string {
	if len(s.latencies) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(s.latencies))
	last := s.latencies[len(s.latencies)-1]
	return fmt.Sprintf("last %d ms, p50 %d ms, worst %d ms", last.Milliseconds(), sorted[len(sorted)/2].Milliseconds(), sorted[len(sorted)-1].Milliseconds())
}

// killNext kills capture at a third of the time and ClickHouse at two thirds; with --for 0 after 10 and 20 seconds.
func (s *liveShow) killNext() {
	if !s.Kill || s.killing || s.kills == 2 {
		return
	}
	third := s.For / 3
	if s.For == 0 {
		third = 10 * time.Second
	}
	if time.Since(s.began) < third*time.Duration(s.kills+1) {
		return
	}
	s.kills++
	s.killing = true
	kill, name := s.killCapture, "capture"
	if s.kills == 2 {
		kill, name = s.killClickHouse, "ClickHouse"
	}
	s.event = fmt.Sprintf("✗ at %.0f s %s was killed (SIGKILL) in the middle of its work, and started again", time.Since(s.began).Seconds(), name)
	s.screen.say("%s", s.event)
	go func() { s.killed <- kill() }()
}

func (s *liveShow) killCapture() error {
	if err := s.capture.kill(); err != nil {
		return err
	}
	return s.capture.start()
}

func (s *liveShow) killClickHouse() error {
	if err := s.stack.ClickHouse.Kill(); err != nil {
		return fmt.Errorf("kill ClickHouse: %w", err)
	}
	starting, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.stack.ClickHouse.Start(starting); err != nil {
		return fmt.Errorf("start ClickHouse again: %w", err)
	}
	return nil
}

func lagText(s ops.Status) string {
	if s.LagBytes == nil {
		return "unknown"
	}
	return humanize.IBytes(uint64(max(*s.LagBytes, 0)))
}
