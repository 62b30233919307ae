package capture

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

const (
	// unansweredTime is how long one call of the sink may take before the log says so: its error may take a minute.
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

// watched makes a call of the sink.
func watched[T any](ctx context.Context, w *watchedSink, call func() (T, error)) (T, error) {
	now := time.Now().UnixNano()
	w.asked.Store(now)
	w.since.CompareAndSwap(0, now)
	out, err := call()
	w.asked.Store(0)
	if err == nil || ctx.Err() != nil { // the caller gave up, which says nothing about the sink
		w.since.Store(0)
	}
	return out, err
}

func (w *watchedSink) Peek(ctx context.Context) (*cdc.State, error) {
	return watched(ctx, w, func() (*cdc.State, error) { return w.Sink.Peek(ctx) })
}

func (w *watchedSink) Recover(ctx context.Context) (*cdc.State, error) {
	return watched(ctx, w, func() (*cdc.State, error) { return w.Sink.Recover(ctx) })
}

func (w *watchedSink) Write(ctx context.Context, c *cdc.Chunk) (cdc.Accepted, error) {
	return watched(ctx, w, func() (cdc.Accepted, error) { return w.Sink.Write(ctx, c) })
}

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

// logHangs makes a sink that hangs show in the log, until done is called.
func logHangs(w *watchedSink, log *zap.Logger, slot string) (done func()) {
	var said time.Time
	return every(context.Background(), time.Second, func(_ context.Context, now time.Time) {
		silent := w.unanswered(now)
		if silent == 0 || now.Sub(said) < unansweredAgain {
			return
		}
		said = now
		hangs := cdc.Failed("Kafka has not answered capture for %s", silent.Round(time.Second)).
			Keeps("What is committed is safe, Postgres keeps the log for the slot, and capture goes on by itself").
			Fix("look at the brokers named in kafka.brokers")
		log.Warn(hangs.Error(), zap.String("slot", slot))
	})
}
