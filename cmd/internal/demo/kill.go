package demo

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"dirtbike/cmd/internal/wait"
)

// kills are what is killed while the clinic is at work.
type kills struct {
	*demo
	watch *watch
	began time.Time

	mu   sync.Mutex
	done []*killed
	over bool // the clinic has stopped: what is not fresh again will not be timed
}

// killed is one SIGKILL.
type killed struct {
	part string
	at   time.Duration // into the live part
	// fresh is when ClickHouse showed something that was committed after the kill, counted from it; 0: not yet.
	fresh time.Duration
}

// killAfter is when the first is killed if the demo runs until Ctrl-C; the second one after as much again.
const killAfter = 10 * time.Second

// run kills capture at a third of the time and ClickHouse at two thirds. What it has killed it starts again, even if
// ctx ends meanwhile.
func (k *kills) run(ctx context.Context) error {
	each := k.For / 3
	if k.For == 0 {
		each = killAfter
	}
	var fresh sync.WaitGroup
	defer fresh.Wait()
	type process interface {
		Kill() error
		Start(ctx context.Context) error
	}
	for i, victim := range []struct {
		part string
		process
	}{{"capture", k.capture}, {"ClickHouse", k.stack.ClickHouse}} {
		until, cancel := context.WithDeadline(ctx, k.began.Add(each*time.Duration(i+1)))
		<-until.Done()
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		one := k.add(victim.part)
		k.screen.plain("  %s killed (SIGKILL) in the middle of its work, and started again", one.part)
		starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err := cmp.Or(victim.Kill(), victim.Start(starting))
		cancel()
		if err != nil {
			return fmt.Errorf("kill %s and start it again: %w", one.part, err)
		}
		fresh.Go(func() { k.awaitFresh(ctx, one) })
	}
	return nil
}

func (k *kills) add(part string) *killed {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := &killed{part: part, at: time.Since(k.began)}
	k.done = append(k.done, one)
	return one
}

// awaitFresh waits until ClickHouse shows what was committed after the kill.
func (k *kills) awaitFresh(ctx context.Context, one *killed) {
	at := k.began.Add(one.at)
	if wait.Every(ctx, watchEvery, func() (bool, error) { return k.watch.sawAfter(at), nil }) != nil {
		return
	}
	passed := time.Since(at)
	k.mu.Lock()
	one.fresh = passed
	k.mu.Unlock()
	k.screen.plain("  ClickHouse is fresh again %.1f s after %s was killed", passed.Seconds(), one.part)
}

// stop says that the clinic has stopped. What was killed is started again by then.
func (k *kills) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
}

// lines are the table of what was killed.
func (k *kills) lines() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for _, one := range k.done {
		fresh := k.screen.quiet("started again, catching up …")
		switch {
		case one.fresh > 0:
			fresh = k.screen.good(fmt.Sprintf("✓ fresh again after %.1f s", one.fresh.Seconds()))
		case k.over:
			fresh = k.screen.quiet("started again, not timed")
		}
		lines = append(lines, fmt.Sprintf("  %-*s %s at %2.0f s   %s", labelWidth, "killed", k.screen.bad(fmt.Sprintf("✗ %-10s", one.part)), one.at.Seconds(), fresh))
	}
	return lines
}
