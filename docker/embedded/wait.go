package embedded

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	pollEvery    = 20 * time.Millisecond
	startTimeout = 60 * time.Second // crash recovery of a big cluster included

	// Several nodes start at the same time, on a machine with few cores: each attempt may take registerTimeout.
	registerTimeout  = 45 * time.Second
	registerAttempts = 4
)

// waitReady polls ready until it succeeds, the child ends, or the time is up.
func waitReady(ctx context.Context, c *child, ready func(context.Context) error) error {
	return waitAll(ctx, startTimeout, []*child{c}, ready)
}

// waitAll polls ready until it succeeds, one of the children ends, or the time is up.
func waitAll(ctx context.Context, within time.Duration, children []*child, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ended := make(chan *child, len(children))
	for _, c := range children {
		go func() {
			select {
			case <-c.done:
				ended <- c
			case <-ctx.Done():
			}
		}()
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case c := <-ended:
			return c.exitError()
		case <-ctx.Done():
			names, logs := namesOf(children)
			return fmt.Errorf("wait for %s: %w (last answer: %w). Try: read %s", names, ctx.Err(), err, logs)
		case <-tick.C:
		}
	}
}

// namesOf lists the children and their logs.
func namesOf(children []*child) (names, logs string) {
	var name, log []string
	for _, c := range children {
		name, log = append(name, c.name), append(log, c.log)
	}
	return strings.Join(name, ", "), strings.Join(log, ", ")
}
