package kafka

import (
	"context"
	"errors"
	"fmt"

	"dirtbike/cdc"
)

// Peek implements cdc.Sink. It refuses the states that Recover would refuse. It uses a separate client, without the
// transactional id.
func (s *Sink) Peek(ctx context.Context) (*cdc.State, error) {
	if errors.Is(s.broken, errClosed) {
		return nil, fmt.Errorf("kafka sink: peek: %w", errClosed)
	}
	r, closeClient, err := connectReader(&s.o)
	if err != nil {
		return nil, s.o.explain("peek", err)
	}
	defer closeClient()
	state, err := r.peek(ctx)
	if err != nil {
		return nil, s.o.explain("peek", err)
	}
	return state, nil
}
