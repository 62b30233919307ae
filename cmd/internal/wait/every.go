package wait

import (
	"context"
	"errors"
	"time"
)

// Every calls f at once and then every interval, until it is done or has failed; if ctx ends first, the error is ctx's.
func Every(ctx context.Context, interval time.Duration, f func() (done bool, err error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Repeat calls f like Every until it fails; that ctx ends is no error.
func Repeat(ctx context.Context, interval time.Duration, f func() error) error {
	err := Every(ctx, interval, func() (bool, error) { return false, f() })
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

const (
	// pollInterval is how often complete_up_to is read while something waits for it, at most.
	pollInterval = 50 * time.Millisecond
	// pollShare bounds what the questions cost a slow server: the pause after each is this many times its duration …
	pollShare = 3
	// … and no longer than this.
	longestPause = time.Second
)

// sparingly is Every for questions that cost the server something.
func sparingly(ctx context.Context, f func() (done bool, err error)) error {
	for {
		began := time.Now()
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(max(pollInterval, pollShare*time.Since(began)), longestPause)):
		}
	}
}

// Poll asks until done, an error, or the timeout (false).
func Poll(ctx context.Context, timeout time.Duration, ask func() (bool, error)) (done bool, err error) {
	over := time.Now().Add(timeout)
	err = sparingly(ctx, func() (bool, error) {
		done, err = ask()
		return done || time.Now().After(over), err
	})
	return done, err
}
