package capture

import (
	"context"
	"sync"
	"time"
)

// every calls work once in each interval until ctx ends or done is called, which waits for the last call.
func every(ctx context.Context, interval time.Duration, work func(ctx context.Context, now time.Time)) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				work(ctx, now)
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}
