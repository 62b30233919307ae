package capture

import (
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// Recover takes a pipeline over from whoever runs it. A start that is refused right behind it would leave nobody to capture, so the
// first one of a process is tried before, on the state as it can be read without fencing. What passes here may still be refused
// behind Recover, by the same checks: the state may have moved in between.

// WouldStart runs the checks of a start and changes nothing anywhere: nil, or what Run would refuse with (ErrRefused, ErrGap), or could
// not find out. Once passed it does nothing. It must not be called beside Run.
func (c *Capture) WouldStart(ctx context.Context) error { return c.preflight(ctx) }

// preflight refuses, before anybody is fenced, what the start would refuse. It changes nothing anywhere. Once passed it does nothing.
func (c *Capture) preflight(ctx context.Context) error {
	if c.passed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.FirstContact)
	defer cancel()
	err := c.try(ctx)
	if errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap) {
		err = c.try(ctx) // a running capture moves slot and state between our looks at them; it does not do so twice
	}
	c.passed = err == nil
	return err
}

// try runs the checks of a start in a session that leaves no trace: no logs, no status, no metrics, and nothing that writes.
func (c *Capture) try(ctx context.Context) error {
	trial := &session{Capture: &Capture{Options: c.Options, task: c.task}, live: map[uint32]*liveTable{}}
	trial.Log, trial.Metrics = zap.NewNop(), NewMetrics(nil)
	// The slot never stands behind what is in Kafka, nor the server's log before it: with somebody writing, each is only seen so if
	// the slot is read before the state, and the log's end after it.
	slot, found, err := trial.slot(ctx)
	if err != nil {
		return err
	}
	if trial.state, err = c.Sink.Peek(ctx); err != nil {
		return fmt.Errorf("look at the state in Kafka: %w", err)
	}
	if trial.state == nil {
		trial.state = &cdc.State{}
	}
	_, tables, _, err := trial.survey(ctx, slot, found)
	if err != nil {
		return err
	}
	fitting, err := trial.fit(tables)
	if err != nil || !found || c.task.renews() {
		return err
	}
	_, err = trial.published(ctx, capturable(fitting))
	return err
}
