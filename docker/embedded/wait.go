package embedded

import (
	"context"
	"fmt"
	"time"
)

const (
	pollEvery    = 20 * time.Millisecond
	startTimeout = 60 * time.Second // crash recovery of a big cluster included
)

// waitReady polls ready until it succeeds, the child ends, or startTimeout has passed.
func waitReady(ctx context.Context, c *child, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return c.exitError()
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last answer: %w). Try: read %s", c.name, ctx.Err(), err, c.log)
		case <-tick.C:
		}
	}
}
