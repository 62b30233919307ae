package kafka

import (
	"context"

	"dirtbike/cdc"
)

// past is what the progress topic knows of epochs and generations, where the state topic may have been lost. What it cannot read tells
// nothing.
func (s *Sink) past(ctx context.Context, r *reader, end int64) (past cdc.HighWater, err error) {
	records, err := readProgress(ctx, r, s.progressTopic(), end)
	for _, p := range records {
		past.Epoch = max(past.Epoch, p.Epoch)
		for table, t := range p.Tables {
			past.Observe(table, t.Generation)
		}
	}
	return past, err
}
