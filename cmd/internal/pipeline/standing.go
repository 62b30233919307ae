package pipeline

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/config"

	"go.uber.org/zap"
)

// standingTime bounds the look at the state: whoever waits for a part that is away finds out by itself.
const standingTime = 3 * time.Second

// standing gives the epoch under which capture writes, and refuses with cdc.ErrGap a source that is not the one that its state was
// written from: positions of a restored Postgres would be compared with those of its former history, and called complete. What
// cannot be asked (Kafka is away, no right to the state topic, no capture has begun) gives epoch 0.
func standing(ctx context.Context, c *config.Config) (epoch uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, standingTime)
	defer cancel()
	o := Options{Config: c, Log: zap.NewNop()}
	sink, err := newSink(o)
	if err != nil {
		return 0, err
	}
	state, err := sink.Peek(ctx)
	if err != nil || state == nil {
		return 0, nil //nolint:nilerr // see above
	}
	conn, err := connectSource(ctx, c)
	if err != nil {
		return state.Source.Epoch, nil //nolint:nilerr // whoever asks for more says it
	}
	defer conn.Close(ctx) // nothing is open on it
	var standby bool
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || standby {
		return state.Source.Epoch, nil //nolint:nilerr // a standby may be behind
	}
	identity, err := newSource(o).Identify(ctx)
	if err != nil {
		return state.Source.Epoch, nil //nolint:nilerr // as above
	}
	return state.Source.Epoch, cdc.CheckHistory(state, identity)
}
