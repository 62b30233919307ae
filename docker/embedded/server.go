package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

const (
	startTimeout = 2 * time.Minute // crash recovery of a big cluster, or a machine with much other work
	pollEvery    = 20 * time.Millisecond
	// A former process of a killed parent may still be ending, and hold its port and its lock on the data.
	formerEndsWithin = 20 * time.Second
)

// server is a part that runs as a child process. Its methods may be called concurrently.
type server struct {
	log *zap.Logger
	// launch tries to start a child that answers. An error of backoff.Permanent ends the tries.
	launch func(ctx context.Context) (*child, error)
	// end asks a child to end, and waits until it has.
	end func(ctx context.Context, c *child) error
	// revives says that it is started again when it ends by itself.
	revives bool

	mu     sync.Mutex
	child  *child
	wanted bool // Start was called last, not Stop or Kill
}

// Start starts the process unless it runs, at the same address, and waits until it answers.
func (s *server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
	return s.start(ctx)
}

// start is Start under the lock.
func (s *server) start(ctx context.Context) error {
	if s.child.running() {
		return nil
	}
	c, err := backoff.Retry(ctx, func() (*child, error) { return s.launch(ctx) },
		backoff.WithBackOff(backoff.NewConstantBackOff(100*time.Millisecond)), backoff.WithMaxElapsedTime(formerEndsWithin))
	if err != nil {
		return err
	}
	s.child = c
	go s.watch(context.WithoutCancel(ctx), c) // it outlives the call that starts it
	return nil
}

// watch logs an end that was not asked for, and starts the server again if it revives.
func (s *server) watch(ctx context.Context, c *child) {
	<-c.done
	if c.expected.Load() {
		return
	}
	s.log.Error("a part of the embedded stack ended by itself", zap.Error(c.exitError()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.revives || !s.wanted || s.child != c {
		return
	}
	if err := s.start(ctx); err != nil {
		s.log.Error("a part of the embedded stack did not start again", zap.Error(err))
	}
}

// Stop ends the process gracefully; what it has confirmed to a client is stored.
func (s *server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = false
	if !s.child.running() {
		return nil
	}
	return s.end(ctx, s.child)
}

// Kill sends SIGKILL and waits until the process is gone.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = false
	if s.child == nil {
		return nil
	}
	return s.child.kill()
}

// Restart is Stop, then Start; after Kill it only starts.
func (s *server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// launch starts a child and waits until it is ready. Only one that has ended by itself is worth another try.
func launch(ctx context.Context, s spec, ready func(context.Context) error) (*child, error) {
	c, err := spawn(s)
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	err = waitReady(ctx, c, ready)
	if err != nil && c.running() {
		err = backoff.Permanent(errors.Join(err, c.kill()))
	}
	return c, err
}

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

// stopStep is a signal, and how long a child may take to obey it.
type stopStep struct {
	signal os.Signal
	within time.Duration
}

// bySignals sends the signals one after the other until the child has ended, at last SIGKILL. A cancelled ctx leads
// straight to SIGKILL.
func bySignals(steps ...stopStep) func(context.Context, *child) error {
	return func(ctx context.Context, c *child) error {
		for _, s := range steps {
			if err := c.signal(s.signal); err != nil {
				return err
			}
			if c.waitCtx(ctx, s.within) {
				return nil
			}
		}
		if err := c.kill(); err != nil {
			return err
		}
		return fmt.Errorf("%s did not stop when asked and was killed; its data is intact. Try: read %s", c.name, c.log)
	}
}
