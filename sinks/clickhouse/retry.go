package clickhouse

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// retry does f until it succeeds, ctx ends, or f fails for a reason that will not go away; each failure shows in the status.
// What f does must be idempotent: an error may hide a success.
func (l *Loader) retry(ctx context.Context, what string, f func(context.Context) error) error {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	defer l.status.recovered(what)
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if isFinal(err) {
			return err
		}
		l.metrics.retries.Inc()
		l.status.failed(what, err)
		wait := b.NextBackOff()
		l.o.Log.Warn("trying again", zap.String("what", what), zap.String("error", withoutValues(err)), zap.Duration("in", wait))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
