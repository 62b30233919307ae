package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// stateReader reads what a pipeline has stored: the state topic, the progress topic and, where progress is not enough,
// the ends of the tables' topics. It changes nothing and needs no transactional id.
type stateReader struct {
	options *Options
	client  *kgo.Client
	adm     *kadm.Client
	log     *zap.Logger
	dec     kgo.Decompressor
	// writers are the producers that have written to the state topic, as far as state has read it.
	writers map[int64]bool
	warned  bool // of records that no capture wrote: one line says enough
}

// counts reports whether a record of one of our own topics is a capture's: all that a capture writes is in
// transactions. What anybody else writes there changes nothing.
func (r *stateReader) counts(k *kgo.Record) bool {
	if k.Attrs.IsTransactional() {
		return true
	}
	r.warnForeign(k.Topic, k.Offset)
	return false
}

// warnForeign says once that records of somebody else are passed over.
func (r *stateReader) warnForeign(topic string, offset int64) {
	if !r.warned {
		r.log.Warn("records that were written outside of a transaction are passed over: they change nothing. Try: find out what else writes to the topic, and take its right away",
			zap.String("topic", topic), zap.Int64("first_offset", offset))
	}
	r.warned = true
}

// ours reports whether a record of the progress topic is a capture's of this state: its producer has written to the
// state topic, too, where each declares itself with its first transaction.
func (r *stateReader) ours(k *kgo.Record) bool { return r.counts(k) && r.writers[k.ProducerID] }

// newStateReader reads by a client that is the caller's.
func newStateReader(o *Options, client *kgo.Client) *stateReader {
	return &stateReader{options: o, client: client, adm: kadm.NewClient(client), log: o.Log, dec: client.OptValue(kgo.WithDecompressor).(kgo.Decompressor)}
}

// connectReader makes a reader with a client of its own, without the transactional id.
func connectReader(o *Options) (r *stateReader, closeClient func(), err error) {
	client, err := kgo.NewClient(o.readerOptions()...)
	if err != nil {
		return nil, nil, badClient(err)
	}
	return newStateReader(o, client), client.Close, nil
}

// state folds the state topic up to its end.
func (r *stateReader) state(ctx context.Context, end int64) (*cdc.State, error) {
	topic := r.options.stateTopic()
	start, err := ownOffset(topic)(r.adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	state := &cdc.State{Tables: map[string]cdc.TableState{}}
	r.writers = map[int64]bool{}
	err = r.read(ctx, topic, 0, start, end, func(k *kgo.Record) error {
		if !r.counts(k) {
			return nil
		}
		r.writers[k.ProducerID] = true
		err := foldState(state, k.Key, k.Value)
		if err != nil && r.options.Anew && !errors.Is(err, errOlderFormat) {
			r.log.Warn("a record of the state cannot be read; it is about to be replaced", zap.Int64("offset", k.Offset), zap.Error(err))
			return nil
		}
		return err
	})
	return state, err
}

// check refuses a state that capture cannot go on from.
func (r *stateReader) check(state *cdc.State) error {
	if r.options.Anew {
		return nil
	}
	empty := state.Point == cdc.Point{} && len(state.Tables) == 0
	if state.Source.Phase == cdc.PhaseNone {
		if empty {
			return nil
		}
		return refuse("holds tables or a point but no source: part of it is lost").At("topic " + r.options.stateTopic()).Fix(cdc.ResnapshotAllCommand)
	}
	have, want := state.Source.Partitions, r.options.Partitions
	if want != 0 && have != 0 && want != have {
		return refuse("kafka.partitions is %d, this pipeline's topics were made with %d: another count would move keys between partitions", want, have).
			Fix("set it back to %d", have).Fix("delete the pipeline's topics (dirtbike explain pipeline-topics), then %s", cdc.ResnapshotAllCommand)
	}
	return nil
}

// highWater is what the progress and control topics know of epochs and generations, where the state topic may
// have been lost.
func (r *stateReader) highWater(ctx context.Context, end int64) (high cdc.HighWater, err error) {
	records, err := r.progress(ctx, end, r.counts) // where the state was lost, the producers are no longer known
	settled := func(ctx context.Context, topic string) (int64, bool, error) { return r.settled(ctx, topic, settleTime) }
	controls, controlsErr := r.controls(ctx, 0, settled, func(k *kgo.Record) (bool, error) { return r.counts(k), nil })
	err = errors.Join(err, controlsErr)
	for i := range controls.Records {
		c := &controls.Records[i]
		high.Epoch = max(high.Epoch, c.Epoch)
		high.Observe(c.Schema+"."+c.Table, c.Generation)
	}
	for _, p := range records {
		high.Epoch = max(high.Epoch, p.Epoch)
		for table, t := range p.Tables {
			high.Observe(table, t.Generation)
		}
	}
	return high, err
}

// errLeftOpen says that somebody's transaction is open on a topic.
var errLeftOpen = errors.New("a transaction has been open on it")

// openGrace is added to the transaction timeout when the reader waits for open transactions to end.
const openGrace = 30 * time.Second

// closedEnds waits until no transaction is open on the topics, and gives the last stable offset of each partition.
// Kafka answers EndTxn before it has written the markers, so that one partition's marker says nothing of the others,
// and an end read too early would let complete_up_to claim too much. Where mayBeGone, a partition that is not known is
// listed with its error; otherwise it is waited for.
func (r *stateReader) closedEnds(ctx context.Context, mayBeGone bool, topics ...string) (kadm.ListedOffsets, error) {
	timeout := r.options.TransactionTimeout + cmp.Or(r.options.openGrace, openGrace)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, cdc.Failed("for %s", timeout).Of(errLeftOpen).
		Fix("kafka-transactions.sh find-hanging, and stop what else writes to it"))
	defer cancel()
	for wait := retryFirst; ; {
		stable, open, err := r.ends(ctx, mayBeGone, topics)
		if err == nil && open == "" {
			return stable, nil
		}
		if err != nil && !kerr.IsRetriable(err) {
			return nil, err
		}
		if stop := pause(ctx, &wait); stop != nil {
			return nil, cdc.OneLine(err, fmt.Errorf("wait for topic %s: %w", open, stop))
		}
	}
}

// ends lists the last stable offsets, and names the first topic with a partition on which a transaction is open.
func (r *stateReader) ends(ctx context.Context, mayBeGone bool, topics []string) (stable kadm.ListedOffsets, open string, err error) {
	// the high watermark is read first: what the stable offset has reached then was closed
	high, err := r.adm.ListEndOffsets(ctx, topics...)
	if err == nil && !mayBeGone {
		err = high.Error()
	}
	if err == nil {
		stable, err = r.adm.ListCommittedOffsets(ctx, topics...)
	}
	if err == nil && !mayBeGone {
		err = stable.Error()
	}
	if err != nil {
		return nil, topics[0], fmt.Errorf("list the end of topic %s: %w", topics[0], err)
	}
	high.Each(func(end kadm.ListedOffset) {
		reached := stable[end.Topic][end.Partition]
		if open == "" && end.Err == nil && reached.Err == nil && reached.Offset < end.Offset {
			open = end.Topic
		}
	})
	return stable, open, nil
}

// peekGrace is how long peekEnd waits for a transaction to end that is open on one of our topics. A running capture
// writes there last, so that its transactions end within milliseconds; one that a killed capture left open is not
// waited for, since only Recover ends it.
const peekGrace = time.Second

// peekEnd is the last stable offset of one of our own topics, once it has reached what was written when it was first
// asked for: Kafka answers EndTxn before it has written the markers, so that what was just committed might be missing.
func (r *stateReader) peekEnd(ctx context.Context, topic string) (int64, error) {
	stable, _, err := r.settle(ctx, topic, peekGrace)
	return stable, err
}

// peek reads the state while a capture may be writing it; nil if there is none yet.
func (r *stateReader) peek(ctx context.Context) (*cdc.State, error) {
	state := &cdc.State{}
	end, err := r.peekEnd(ctx, r.options.stateTopic())
	if err == nil {
		state, err = r.state(ctx, end)
	}
	missing := errors.Is(err, kerr.UnknownTopicOrPartition)
	if err != nil && !missing {
		return nil, err
	}
	if missing {
		state = &cdc.State{}
	}
	if state.Source.Phase == cdc.PhaseNone { // what the progress topic knows, if there is one
		end, err := r.peekEnd(ctx, r.options.progressTopic())
		if err == nil {
			state.HighWater, err = r.highWater(ctx, end)
		}
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, err
		}
	}
	if err := r.check(state); err != nil {
		return nil, err
	}
	if err := r.checkControls(ctx, state); err != nil {
		return nil, err
	}
	if missing && state.HighWater.Epoch == 0 {
		return nil, nil
	}
	return state, nil
}

// ownOffset takes the offset of partition 0, the only one of our own topics, out of an answer.
func ownOffset(topic string) func(kadm.ListedOffsets, error) (int64, error) {
	return func(listed kadm.ListedOffsets, err error) (int64, error) {
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return 0, fmt.Errorf("list the offsets of topic %s: %w", topic, err)
		}
		return listed[topic][0].Offset, nil
	}
}

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

const (
	fetchBytes   = 8 << 20
	fetchWait    = 500 // milliseconds
	retryFirst   = 10 * time.Millisecond
	retryLargest = 500 * time.Millisecond
)

// read calls fn for every committed record of [from, to), in order, control records left out. It makes its own fetch
// requests, because a consumer reports neither control records nor compacted gaps, and so cannot say that the end is
// reached.
func (r *stateReader) read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*kgo.Record) error) error {
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

func (r *stateReader) leader(ctx context.Context, topic string, partition int32) (int32, kadm.TopicID, error) {
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
func (r *stateReader) fetch(ctx context.Context, leader int32, id kadm.TopicID, topic string, partition int32, from int64) ([]*kgo.Record, int64, error) {
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
	opts := kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: topic, Partition: partition}
	return r.unpack(ctx, opts, &resp.Topics[0].Partitions[0])
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
