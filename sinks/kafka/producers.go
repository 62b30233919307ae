package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// producerPrefix begins the key of a producer's declaration in the state topic: "producer:<id>".
const producerPrefix = "producer:"

// undeclared is no producer's id.
const undeclared = -1

var _ cdc.Producers = (*Sink)(nil)

// declaration is the record by which a producer says that it writes for the pipeline. Its key is its own, so that
// compaction keeps one for every producer that ever was. The id in it is for people: what counts is the one that Kafka
// keeps with the record.
func (o *Options) declaration(id int64) *kgo.Record {
	return &kgo.Record{
		Topic: o.stateTopic(), Key: strconv.AppendInt([]byte(producerPrefix), id, 10),
		Value: fmt.Appendf(nil, `{"format":%d,"id":%d}`, cdc.StateFormat, id),
	}
}

// declare adds the producer's declaration to the transaction if the state topic may not have it: after a takeover, and
// where the broker has given another id, as it does at the end of a transaction whose epoch was the last one (KIP-890).
// Some record of the transaction must have been acknowledged.
func (s *Sink) declare() error {
	id := s.owner.producer.Load()
	if s.owner.declared == id {
		return nil
	}
	s.produceOwn(s.o.declaration(id))
	return s.flush()
}

// Producers implements cdc.Producers. A producer counts from the first record that it committed to the state topic,
// also where an older build wrote it, which declared nothing.
//
// A record that is visible was committed together with a record of the state topic, or after one of the same producer.
// Kafka may show it before that one; so this waits until the state topic shows what had been written to it by now.
func (s *Sink) Producers(ctx context.Context) ([]int64, error) {
	r, closeClient, err := connectReader(&s.o)
	if err != nil {
		return nil, s.o.explain("read the producers", err)
	}
	defer closeClient()
	ids, err := r.producers(ctx)
	if err != nil {
		return nil, s.o.explain("read the producers", err)
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

// How long one of our own topics may take to show what was written to it: at a takeover, and while loaders wait.
const (
	settleTime    = 10 * time.Second
	producersTime = time.Second
)

// settled is the last stable offset of one of our own topics, once it has reached what had been written when it was
// first asked for.
func (r *stateReader) settled(ctx context.Context, topic string, patience time.Duration) (stable int64, open bool, err error) {
	if stable, open, err = r.settle(ctx, topic, patience); err == nil && open {
		err = cdc.Failed("a transaction has been open on it for %s", patience).At("topic " + topic).
			Fix("kafka-transactions.sh find-hanging, and stop what else writes to it")
	}
	return stable, open, err
}

// settle is the last stable offset of one of our own topics. It waits, for at most so long, until that has reached what
// had been written when it was first asked for; open says that it has not.
func (r *stateReader) settle(ctx context.Context, topic string, patience time.Duration) (stable int64, open bool, err error) {
	written, err := ownOffset(topic)(r.adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return 0, false, err
	}
	for wait, since := retryFirst, time.Now(); ; {
		stable, err = ownOffset(topic)(r.adm.ListCommittedOffsets(ctx, topic))
		if open = err == nil && stable < written; !open || time.Since(since) >= patience {
			return stable, open, err
		}
		if err := pause(ctx, &wait); err != nil {
			return 0, open, fmt.Errorf("wait for topic %s: %w", topic, err)
		}
	}
}

func (r *stateReader) producers(ctx context.Context) (map[int64]struct{}, error) {
	topic := r.options.stateTopic()
	stable, _, err := r.settled(ctx, topic, producersTime)
	if err != nil {
		return nil, err
	}
	first, err := ownOffset(topic)(r.adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	ids := map[int64]struct{}{}
	err = r.read(ctx, topic, 0, first, stable, func(k *kgo.Record) error {
		if k.Attrs.IsTransactional() {
			ids[k.ProducerID] = struct{}{}
		}
		return nil
	})
	return ids, err
}
