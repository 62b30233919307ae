package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// offsets gives a ledger with the last data offset + 1 of every partition: from the progress topic if its last record
// belongs to the state's point, otherwise from the tables' topics. Parts of a split transaction write no progress, so
// then always from the topics.
func (r *stateReader) offsets(ctx context.Context, state *cdc.State, end int64) (*ledger, error) {
	if !state.Point.Partial {
		records, err := r.progress(ctx, end)
		if err != nil {
			return nil, err
		}
		l := newLedger()
		if ok, err := foldProgress(l, records, state.Point); ok || err != nil {
			return l, err
		}
	}
	l := newLedger()
	topics := map[string]struct{}{}
	for _, t := range state.Tables {
		topics[t.Topic] = struct{}{}
	}
	delete(topics, "")
	for topic := range topics {
		if err := r.deriveOffsets(ctx, l, topic); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// deriveOffsets finds the last committed data record of every partition of a topic.
func (r *stateReader) deriveOffsets(ctx context.Context, l *ledger, topic string) error {
	starts, err := r.records.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("list the offsets of topic %s: %w", topic, err)
	}
	ends, err := r.closedEnds(ctx, true, topic)
	if err != nil {
		return err
	}
	for partition, end := range ends[topic] {
		if err := r.derivePartition(ctx, l, starts[topic][partition], end); err != nil {
			return fmt.Errorf("topic %s partition %d: %w", topic, partition, err)
		}
	}
	return nil
}

func (r *stateReader) derivePartition(ctx context.Context, l *ledger, start, end kadm.ListedOffset) error {
	err := errors.Join(end.Err, start.Err)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil // deleted since: nothing to wait for; capture checks its topics itself
	}
	if err != nil {
		return fmt.Errorf("list the offsets: %w", err)
	}
	next, err := r.lastData(ctx, end.Topic, end.Partition, start.Offset, end.Offset)
	if next > 0 {
		l.known(end.Topic, end.Partition, next)
	}
	return err
}

// lastData is the offset after the last committed data record in [start, end), start if there is none.
func (r *stateReader) lastData(ctx context.Context, topic string, partition int32, start, end int64) (int64, error) {
	for window, high := int64(64), end; high > start; window *= 4 {
		low := max(start, high-window)
		next := int64(-1)
		err := r.records.read(ctx, topic, partition, low, high, func(k *kgo.Record) error {
			next = k.Offset + 1
			return nil
		})
		if err != nil || next >= 0 {
			return next, err
		}
		high = low
	}
	return start, nil
}
