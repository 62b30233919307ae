package main

import (
	"context"
	"os"
	"time"
)

// hangupRest is the least time between two hangups that are worked on.
const hangupRest = time.Second

// paced passes hangups on, the first at once, and then one for all that come within the time, or while it is not
// received; the last is never lost.
func paced(ctx context.Context, hangups <-chan os.Signal, rest time.Duration) <-chan os.Signal {
	out := make(chan os.Signal)
	go func() {
		for {
			select {
			case one := <-hangups:
				if !handOver(ctx, hangups, out, one) {
					return
				}
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(rest):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// handOver waits until it is received, for all that come meanwhile.
func handOver(ctx context.Context, hangups <-chan os.Signal, out chan<- os.Signal, one os.Signal) bool {
	for {
		select {
		case out <- one:
			return true
		case <-hangups:
		case <-ctx.Done():
			return false
		}
	}
}
