package embedded

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
)

// stopStep is a signal, and how long a child may take to obey it.
type stopStep struct {
	signal os.Signal
	within time.Duration
}

// stopChild sends the signals one after the other until the child has ended, at last SIGKILL. A cancelled ctx leads
// straight to SIGKILL. A child that never ran or has ended is no error.
func stopChild(ctx context.Context, c *child, steps []stopStep) error {
	if c == nil || !c.running() {
		return nil
	}
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

// waitCtx reports whether the child ended within d and before ctx was cancelled.
func (c *child) waitCtx(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// reportExit logs a child that ends without having been asked to.
func reportExit(c *child, log *zap.Logger) {
	<-c.done
	if c.unexpected() {
		log.Error("a part of the embedded stack ended by itself", zap.Error(c.exitError()))
	}
}
