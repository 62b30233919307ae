package capture

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

const (
	// unansweredTime is how long one call of the sink may take before the log says so: no error comes of it for up to a
	// minute.
	unansweredTime = 10 * time.Second
	// unansweredAgain is how often the log says so at most.
	unansweredAgain = time.Minute
)

// watchedSink notes how long a sink does not answer. It has one user at a time, as every sink.
type watchedSink struct {
	cdc.Sink
	// asked is when the call began that has no answer yet; since is when the first call began after the last answer. In
	// Unix nanoseconds; 0 is none.
	asked, since atomic.Int64
}

func (w *watchedSink) begins() {
	now := time.Now().UnixNano()
	w.asked.Store(now)
	w.since.CompareAndSwap(0, now)
}

func (w *watchedSink) ends(ctx context.Context, err error) {
	w.asked.Store(0)
	if err == nil || ctx.Err() != nil { // the caller gave up, which says nothing about the sink
		w.since.Store(0)
	}
}

// watched is a call of the sink.
func watched[T any](ctx context.Context, w *watchedSink, call func() (T, error)) (T, error) {
	w.begins()
	out, err := call()
	w.ends(ctx, err)
	return out, err
}

// Peek implements Sink.
func (w *watchedSink) Peek(ctx context.Context) (*cdc.State, error) {
	return watched(ctx, w, func() (*cdc.State, error) { return w.Sink.Peek(ctx) })
}

// Recover implements Sink.
func (w *watchedSink) Recover(ctx context.Context) (*cdc.State, error) {
	return watched(ctx, w, func() (*cdc.State, error) { return w.Sink.Recover(ctx) })
}

// Write implements Sink.
func (w *watchedSink) Write(ctx context.Context, c *cdc.Chunk) (cdc.Accepted, error) {
	return watched(ctx, w, func() (cdc.Accepted, error) { return w.Sink.Write(ctx, c) })
}

// Commit implements Sink.
func (w *watchedSink) Commit(ctx context.Context, p cdc.Point, changed ...cdc.StateChange) (cdc.Durable, error) {
	return watched(ctx, w, func() (cdc.Durable, error) { return w.Sink.Commit(ctx, p, changed...) })
}

// unanswered says for how long nothing has been answered, 0 unless a call has been under way for unansweredTime.
func (w *watchedSink) unanswered(now time.Time) time.Duration {
	asked, since := w.asked.Load(), w.since.Load()
	if asked == 0 || since == 0 || now.Sub(time.Unix(0, asked)) < unansweredTime {
		return 0
	}
	return now.Sub(time.Unix(0, since))
}

// logHangs makes a sink that hangs show in the log. The caller ends it with done, which waits for it.
func logHangs(w *watchedSink, log *zap.Logger, slot string) (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var said time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if silent := w.unanswered(now); silent > 0 && (said.IsZero() || now.Sub(said) >= unansweredAgain) {
					said = now
					log.Warn(hangs(silent).Error(), zap.String("slot", slot))
				}
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}

func hangs(silent time.Duration) *cdc.Problem {
	return cdc.Failed("Kafka has not answered capture for %s", silent.Round(time.Second)).
		Keeps("What is committed is safe, Postgres keeps the log for the slot, and capture goes on by itself").
		Fix("look at the brokers named in kafka.brokers")
}
