package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// stallTime is how long a download may bring nothing before it is begun again. A connection that has died without a
	// word is otherwise waited for: npm's own limit is five minutes, and only until the answer begins.
	stallTime = time.Minute
	// downloadTries is how often it is begun.
	downloadTries = 3
)

var errStalled = errors.New("nothing came any more")

// retryStalled runs a download into dir, again when dir has not grown for patience.
func retryStalled(ctx context.Context, dir string, patience time.Duration, download func(context.Context) error) error {
	for try := 1; ; try++ {
		err := whileGrowing(ctx, dir, patience, download)
		if !errors.Is(err, errStalled) {
			return err
		}
		if try == downloadTries {
			return fmt.Errorf("%w for %s, %d times", errStalled, patience, try)
		}
	}
}

// whileGrowing cancels download once dir has not grown for patience; then its error is errStalled.
func whileGrowing(ctx context.Context, dir string, patience time.Duration, download func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- download(ctx) }()
	tick := time.NewTicker(patience / 20)
	defer tick.Stop()
	size, grown := int64(-1), time.Now()
	for {
		select {
		case err := <-done:
			if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
				return cause
			}
			return err
		case <-tick.C:
			now := dirSize(dir)
			if now != size {
				size, grown = now, time.Now()
			}
			if time.Since(grown) > patience {
				cancel(errStalled)
			}
		}
	}
}
