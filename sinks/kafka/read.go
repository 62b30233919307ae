package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// reader reads committed records up to a known offset. It makes its own fetch requests, because a consumer reports
// neither control records nor compacted gaps, and so cannot say that the end is reached.
type reader struct {
	client *kgo.Client
	adm    *kadm.Client
	log    *zap.Logger
	dec    kgo.Decompressor
}

const (
	fetchBytes   = 8 << 20
	fetchWait    = 500 // milliseconds
	retryFirst   = 10 * time.Millisecond
	retryLargest = 500 * time.Millisecond
)

// read calls fn for every committed record of [from, to), in order, control records left out.
func (r *reader) read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*kgo.Record) error) error {
	var leader int32 = -1
	var id kadm.TopicID
	wait := retryFirst
	for from < to {
		var records []*kgo.Record
		var err error
		if leader < 0 {
			leader, id, err = r.leader(ctx, topic, partition)
		}
		if err == nil {
			records, from, err = r.fetch(ctx, leader, id, topic, partition, from)
		}
		if err != nil {
			if !kerr.IsRetriable(err) && !kgo.IsRetryableBrokerErr(err) {
				return fmt.Errorf("read topic %s: %w", topic, err)
			}
			r.log.Warn("reading again", zap.String("topic", topic), zap.Error(err))
			leader = -1
			if err := pause(ctx, &wait); err != nil {
				return fmt.Errorf("read topic %s: %w", topic, err)
			}
			continue
		}
		wait = retryFirst
		for _, rec := range records {
			if rec.Offset >= to {
				return nil
			}
			if err := fn(rec); err != nil {
				return fmt.Errorf("topic %s offset %d: %w", topic, rec.Offset, err)
			}
		}
	}
	return nil
}

func (r *reader) leader(ctx context.Context, topic string, partition int32) (int32, kadm.TopicID, error) {
	details, err := r.adm.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return -1, kadm.TopicID{}, err
	}
	detail := details[topic]
	if detail.Err != nil {
		return -1, kadm.TopicID{}, detail.Err
	}
	p, ok := detail.Partitions[partition]
	switch {
	case !ok:
		return -1, kadm.TopicID{}, kerr.UnknownTopicOrPartition
	case p.Err != nil:
		return -1, kadm.TopicID{}, p.Err
	case p.Leader < 0:
		return -1, kadm.TopicID{}, kerr.LeaderNotAvailable
	}
	return p.Leader, detail.ID, nil
}

// fetch reads once from an offset and says where to go on.
func (r *reader) fetch(ctx context.Context, leader int32, id kadm.TopicID, topic string, partition int32, from int64) ([]*kgo.Record, int64, error) {
	resp, err := fetchRequest(id, topic, partition, from).RequestWith(ctx, r.client.Broker(int(leader)))
	if err != nil {
		return nil, from, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, from, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, from, fmt.Errorf("broker %d answered a fetch of one partition with %d topics", leader, len(resp.Topics))
	}
	p := &resp.Topics[0].Partitions[0]
	opts := kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: topic, Partition: partition}
	got, next := kgo.ProcessFetchPartition(opts, p, r.dec, nil)
	return got.Records, next, got.Err
}

func fetchRequest(id kadm.TopicID, topic string, partition int32, from int64) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, fetchBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, id, []kmsg.FetchRequestTopicPartition{p}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = fetchWait, 1, fetchBytes
	req.IsolationLevel = 1 // read_committed
	req.SessionEpoch = -1  // no fetch session
	req.Topics = []kmsg.FetchRequestTopic{t}
	return req
}

// pause waits before the next try, longer each time.
func pause(ctx context.Context, wait *time.Duration) error {
	timer := time.NewTimer(*wait)
	defer timer.Stop()
	*wait = min(2**wait, retryLargest)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
