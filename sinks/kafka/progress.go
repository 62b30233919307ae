package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// progressRecord is a record of the progress topic.
type progressRecord struct {
	Epoch     uint32                      `json:"epoch"`
	CommitLSN lsnText                     `json:"commit_lsn"`
	Ordinal   uint32                      `json:"ordinal"`
	LSN       lsnText                     `json:"lsn"`
	TimeUS    int64                       `json:"time_us"`
	Full      bool                        `json:"full"`
	Offsets   map[string]map[string]int64 `json:"offsets"`
	Tables    map[string]tableProgress    `json:"tables"`
}

const (
	progressWindow = 4 * fullEvery   // offsets read at first: records and the transactions' markers
	progressMost   = 512 * fullEvery // offsets read at most
)

// recoverOffsets fills the ledger with the last data offset + 1 of every partition: from the progress topic if it tells of the
// state's point, else from the tables' topics themselves. It does not after a split transaction, whose parts write no progress.
func (s *Sink) recoverOffsets(ctx context.Context, r *reader, state *cdc.State, end int64) error {
	if !state.Point.Partial {
		records, err := readProgress(ctx, r, s.progressTopic(), end)
		if err != nil {
			return err
		}
		ok, err := foldProgress(s.ledger, records, state.Point)
		if ok || err != nil {
			return err
		}
	}
	s.ledger.topics = map[string]*topicState{}
	return s.deriveOffsets(ctx, r, state)
}

// readProgress reads backwards until it has a full record; it may return records without one.
func readProgress(ctx context.Context, r *reader, topic string, end int64) ([]progressRecord, error) {
	starts, err := r.adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list the offsets of topic %s: %w", topic, err)
	}
	start := max(starts[topic][0].Offset, end-progressMost)
	var all []progressRecord
	for window, high := int64(progressWindow), end; high > start; window *= 2 {
		low := max(start, high-window)
		records, err := readProgressRange(ctx, r, topic, low, high)
		if err != nil {
			return nil, err
		}
		all = append(records, all...)
		if slices.ContainsFunc(records, func(p progressRecord) bool { return p.Full }) {
			break
		}
		high = low
	}
	return all, nil
}

func readProgressRange(ctx context.Context, r *reader, topic string, low, high int64) ([]progressRecord, error) {
	var records []progressRecord
	err := r.read(ctx, topic, 0, low, high, func(k *kgo.Record) error {
		p, err := decodeProgress(k.Value)
		records = append(records, p)
		return err
	})
	return records, err
}

// decodeProgress reads a record; one that it cannot read is cdc.ErrRefused.
func decodeProgress(value []byte) (p progressRecord, err error) {
	if err = checkFormat(value); err == nil {
		err = json.Unmarshal(value, &p)
	}
	if err != nil {
		return p, refuse(unreadable, "progress record: %w", err)
	}
	return p, nil
}

// foldProgress applies the records from the last full one on. It reports false when there is none or when the last record is
// not that of the state's point: then the topic has lost something.
func foldProgress(l *ledger, records []progressRecord, point cdc.Point) (bool, error) {
	from := len(records) - 1
	for from >= 0 && !records[from].Full {
		from--
	}
	if from < 0 {
		return false, nil
	}
	for _, p := range records[from:] {
		if err := l.fold(p); err != nil {
			return false, err
		}
	}
	last := records[len(records)-1]
	at := cdc.Position{Epoch: last.Epoch, CommitLSN: cdc.LSN(last.CommitLSN), Ordinal: last.Ordinal}
	return at == point.Position && cdc.LSN(last.LSN) == point.Reported, nil
}

// fold applies one record; a full one replaces what was known.
func (l *ledger) fold(p progressRecord) error {
	if p.Full {
		clear(l.topics)
	}
	for topic, partitions := range p.Offsets {
		for text, next := range partitions {
			partition, err := strconv.ParseInt(text, 10, 32)
			if err != nil || partition < 0 || partition >= maxPartitions || next < 0 {
				return refuse(unreadable, "progress record: topic %s partition %q offset %d make no sense", topic, text, next)
			}
			l.known(topic, int32(partition), next)
		}
	}
	return nil
}

// maxPartitions keeps a damaged record from claiming memory.
const maxPartitions = 1 << 20

// deriveOffsets finds the last committed data record of every partition of the tables' topics.
func (s *Sink) deriveOffsets(ctx context.Context, r *reader, state *cdc.State) error {
	topics := map[string]struct{}{}
	for _, t := range state.Tables {
		topics[t.Topic] = struct{}{}
	}
	delete(topics, "")
	for topic := range topics {
		if err := s.deriveTopic(ctx, r, topic); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) deriveTopic(ctx context.Context, r *reader, topic string) error {
	starts, err := r.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("list the offsets of topic %s: %w", topic, err)
	}
	ends, err := s.settleTopic(ctx, topic)
	if err != nil {
		return err
	}
	for partition, end := range ends {
		start := starts[topic][partition]
		err := errors.Join(end.Err, start.Err)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // deleted since: nothing to wait for; capture checks its topics itself
		}
		if err != nil {
			return fmt.Errorf("list the offsets of topic %s partition %d: %w", topic, partition, err)
		}
		next, err := lastData(ctx, r, topic, partition, start.Offset, end.Offset)
		if err != nil {
			return err
		}
		if next > 0 {
			s.ledger.known(topic, partition, next)
		}
	}
	return nil
}

// settleTopic waits until no transaction is open on any partition of the topic, and gives their ends. Kafka answers EndTxn before it
// has written the markers: that the state's partition has its own says nothing of the others, and an end read too early would let
// complete_up_to claim too much.
func (s *Sink) settleTopic(ctx context.Context, topic string) (map[int32]kadm.ListedOffset, error) {
	timeout := s.o.TransactionTimeout + settleGrace
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("a transaction has been open on it for %s. "+
		"Try: kafka-transactions.sh find-hanging, and stop what else writes to it", timeout))
	defer cancel()
	for wait := retryFirst; ; {
		// the high watermark is read first: what the stable offset has reached then was settled
		high, err := s.adm.ListEndOffsets(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("list the end of topic %s: %w", topic, err)
		}
		stable, err := s.adm.ListCommittedOffsets(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("list the last stable offset of topic %s: %w", topic, err)
		}
		open := false
		for partition, end := range high[topic] {
			open = open || end.Err == nil && stable[topic][partition].Err == nil && stable[topic][partition].Offset < end.Offset
		}
		if !open {
			return stable[topic], nil
		}
		if stop := pause(ctx, &wait); stop != nil {
			return nil, fmt.Errorf("wait for topic %s: %w", topic, stop)
		}
	}
}

// lastData is the offset behind the last committed data record in [start, end), start if there is none.
func lastData(ctx context.Context, r *reader, topic string, partition int32, start, end int64) (int64, error) {
	for window, high := int64(64), end; high > start; window *= 4 {
		low := max(start, high-window)
		next := int64(-1)
		err := r.read(ctx, topic, partition, low, high, func(k *kgo.Record) error {
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
