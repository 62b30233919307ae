package clickhouse

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// facts answers the questions of a complete.Tracker, each until it is answered.
type facts struct {
	retry  retry
	group  *consume.Group
	ledger *ledger.Ledger
	topics map[string]*apply.Topic
}

// retried gives the answer to a question once there is one.
func retried[T any](ctx context.Context, f facts, what string, ask func(context.Context) (T, error)) (answer T, err error) {
	err = f.retry(ctx, what, func(ctx context.Context) (err error) {
		answer, err = ask(ctx)
		return err
	})
	return answer, err
}

// Applied implements complete.Facts.
func (f facts) Applied(ctx context.Context, topics []string) ([]ledger.Applied, error) {
	return retried(ctx, f, "read applied offsets", func(ctx context.Context) ([]ledger.Applied, error) { return f.ledger.Applied(ctx, topics) })
}

// Opens implements complete.Facts.
func (f facts) Opens(ctx context.Context, topics []string) ([]ledger.Mark, error) {
	return retried(ctx, f, "read opened generations", func(ctx context.Context) ([]ledger.Mark, error) { return f.ledger.Opens(ctx, topics) })
}

// WritePoints implements complete.Facts.
func (f facts) WritePoints(ctx context.Context, points []ledger.Point) error {
	return f.retry(ctx, "write what is complete", func(ctx context.Context) error { return f.ledger.WritePoints(ctx, points) })
}

// Ends implements complete.Facts.
func (f facts) Ends(ctx context.Context, topics []string) (map[string]complete.TopicEnds, error) {
	listed, err := retried(ctx, f, readEnds, func(ctx context.Context) (kadm.ListedOffsets, error) {
		return f.group.Admin.ListEndOffsets(ctx, topics...)
	})
	out := map[string]complete.TopicEnds{}
	for topic, partitions := range listed {
		ends := complete.TopicEnds{Ends: map[int32]int64{}}
		if first, ok := partitions[0]; ok && first.Err == nil {
			ends.Partitions = len(partitions)
		}
		for id, end := range partitions {
			if end.Err == nil {
				ends.Ends[id] = end.Offset
			}
		}
		out[topic] = ends
	}
	return out, err
}

// TopicIDs implements complete.Facts. It asks now: the client's own metadata may be a little old. A topic of this
// loader that was deleted and made again is an error.
func (f facts) TopicIDs(ctx context.Context, topics []string) (ids map[string]uuid.UUID, missing map[string]bool, err error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := retried(ctx, f, readMetadata, func(ctx context.Context) (*kmsg.MetadataResponse, error) { return req.RequestWith(ctx, f.group.Client) })
	if err != nil {
		return nil, nil, err
	}
	ids, missing = map[string]uuid.UUID{}, map[string]bool{}
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case t.Topic == nil: // not asked for
		case err == nil:
			ids[*t.Topic] = t.TopicID
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			missing[*t.Topic] = true
		}
	}
	for topic, id := range ids {
		if t := f.topics[topic]; t != nil && len(t.Parts) > 0 && t.ID != id {
			return nil, nil, consume.TopicChanged(topic)
		}
	}
	return ids, missing, nil
}
