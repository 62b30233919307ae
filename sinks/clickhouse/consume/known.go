package consume

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// Known is what ClickHouse and Kafka say about topics, to find where their partitions start.
type Known struct {
	Topics  kadm.TopicDetails
	Applied []ledger.Applied
	Opens   []ledger.Mark
	// First are the logs' first offsets, Stable the last stable ones, Ends the high watermarks.
	First, Stable, Ends kadm.ListedOffsets
	// AtHorizon are the first offsets of records that are younger than Horizon, the end where there is none.
	AtHorizon kadm.ListedOffsets
	// Horizon is how long tombstones are kept (rule 10).
	Horizon time.Duration
}

// Read asks for all that Known has.
func Read(ctx context.Context, kafka *kadm.Client, books *ledger.Ledger, topics []string, horizon time.Duration) (k Known, err error) {
	k.Horizon = horizon
	if k.Topics, err = kafka.ListTopics(ctx, topics...); err != nil {
		return k, fmt.Errorf("read the topics' metadata: %w", err)
	}
	for _, list := range []struct {
		what string
		into *kadm.ListedOffsets
		ask  func(context.Context, ...string) (kadm.ListedOffsets, error)
	}{
		{"first offsets", &k.First, kafka.ListStartOffsets},
		{"offsets at the replay horizon", &k.AtHorizon, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return kafka.ListOffsetsAfterMilli(ctx, time.Now().Add(-horizon).UnixMilli(), topics...)
		}},
		{"last stable offsets", &k.Stable, kafka.ListCommittedOffsets},
		{"ends", &k.Ends, kafka.ListEndOffsets},
	} {
		if *list.into, err = list.ask(ctx, topics...); err != nil {
			return k, fmt.Errorf("read the topics' %s: %w", list.what, err)
		}
	}
	if k.Applied, err = books.Applied(ctx, topics); err != nil {
		return k, err
	}
	k.Opens, err = books.Opens(ctx, topics)
	return k, err
}

// Topic gives the topic's state with what Kafka says now, making it in topics if it is not there.
func (k Known) Topic(topics map[string]*apply.Topic, name, prefix string) (*apply.Topic, error) {
	d := k.Topics[name]
	if d.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", name, d.Err)
	}
	t := topics[name]
	if t == nil {
		made, ok := apply.NewTopic(name, prefix)
		if !ok {
			return nil, cdc.Failed("topic %s has the pipeline's prefix but no name that capture gives", name).Of(ErrTopicChanged).
				Fix("another kafka.prefix, or delete the topic")
		}
		made.ID = uuid.UUID(d.ID)
		t = made
		topics[name] = t
	}
	if t.ID != uuid.UUID(d.ID) {
		return nil, TopicChanged(name)
	}
	t.Partitions = int32(len(d.Partitions)) //nolint:gosec // a count
	return t, nil
}
