package capture

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
)

// hangingSink does not answer commits, nor a Recover after one, while it hangs; each is given up after a minute.
type hangingSink struct {
	*fakeSink
	hangs *atomic.Bool
}

var errHung = errors.New("no answer within a minute")

func (s hangingSink) hang(ctx context.Context) error {
	for began := time.Now(); s.hangs.Load(); {
		if time.Since(began) >= time.Minute {
			return errHung
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return nil
}

func (s hangingSink) Recover(ctx context.Context) (*cdc.State, error) {
	if err := s.hang(ctx); err != nil {
		return nil, err
	}
	return s.fakeSink.Recover(ctx)
}

func (s hangingSink) Commit(ctx context.Context, p cdc.Point, changed ...cdc.StateChange) (cdc.Durable, error) {
	if err := s.hang(ctx); err != nil {
		return cdc.Durable{}, err
	}
	return s.fakeSink.Commit(ctx, p, changed...)
}

// TestASinkThatHangsShowsInTheLog: soon, at most once a minute, and only while it hangs.
func TestASinkThatHangsShowsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		core, logs := observer.New(zap.WarnLevel)
		o := r.options
		o.Log = zap.New(core)
		hangs := &atomic.Bool{}
		o.Source, o.Sink, o.Tables = r.server, hangingSink{r.sink(), hangs}, r.tables
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- NewCapture(o).Run(ctx) }()
		r.again(t, 2)
		said := func() (lines []string) {
			for _, e := range logs.All() {
				if strings.HasPrefix(e.Message, "Kafka has not answered") {
					lines = append(lines, e.Message)
				}
			}
			return lines
		}
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() } // on the bubble's clock
		wait(2 * time.Minute)
		require.Empty(t, said(), "an idle capture whose Kafka answers")

		hangs.Store(true)
		wait(20 * time.Second) // a heartbeat may have to come first
		require.Len(t, said(), 1)
		requireReason(t, said()[0], "kafka.brokers")
		wait(3 * time.Minute)
		require.Len(t, said(), 4, "%v", said())
		require.Regexp(t, `for 3m`, said()[3], "since the first call that got no answer")

		hangs.Store(false)
		wait(time.Minute)
		n := len(said())
		wait(3 * time.Minute)
		require.Len(t, said(), n)
		cancel()
		require.NoError(t, <-done)
	})
}
