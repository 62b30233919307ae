package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

const (
	progressWindow = 4 * fullEvery   // offsets read at first: records and the transactions' markers
	progressMost   = 512 * fullEvery // offsets read at most
)

// progress reads the progress topic backwards until it has a full record; it may return records without one, oldest
// first, of those that count.
func (r *stateReader) progress(ctx context.Context, end int64, counts func(*kgo.Record) bool) ([]cdc.Progress, error) {
	topic := r.options.progressTopic()
	start, err := ownOffset(topic)(r.adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	start = max(start, end-progressMost)
	var all []cdc.Progress
	for window, high := int64(progressWindow), end; high > start; window *= 2 {
		low := max(start, high-window)
		var records []cdc.Progress
		err := r.read(ctx, topic, 0, low, high, func(k *kgo.Record) error {
			if !counts(k) {
				return nil
			}
			p, err := decodeProgress(k.Value)
			records = append(records, p)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(records, all...)
		if slices.ContainsFunc(records, func(p cdc.Progress) bool { return p.Full }) {
			break
		}
		high = low
	}
	return all, nil
}

// decodeProgress reads a record; one that it cannot read is cdc.ErrRefused.
func decodeProgress(value []byte) (p cdc.Progress, err error) {
	if err = checkFormat(value); err == nil {
		err = json.Unmarshal(value, &p)
	}
	if err != nil {
		return p, unreadable("a progress record", err)
	}
	return p, nil
}

// foldProgress applies the records from the last full one on. It reports false when there is none or when the last
// record is not that of the state's point: then the topic has lost something.
func foldProgress(l *ledger, records []cdc.Progress, point cdc.Point) (bool, error) {
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
	return last.Position() == point.Position && last.LSN == point.Reported, nil
}

// fold applies one record; a full one replaces what was known.
func (l *ledger) fold(p cdc.Progress) error {
	if p.Full {
		clear(l.topics)
	}
	for topic, partitions := range p.Offsets {
		for text, next := range partitions {
			partition, err := strconv.ParseInt(text, 10, 32)
			canonical := strconv.FormatInt(partition, 10) == text // else two entries could be of one partition
			if err != nil || !canonical || partition < 0 || partition >= maxPartitions || next < 0 {
				return unreadable(fmt.Sprintf("a progress record names partition %q with offset %d", text, next), nil).At("topic " + topic)
			}
			l.known(topic, int32(partition), next)
		}
	}
	return nil
}

// maxPartitions keeps a damaged record from claiming memory.
const maxPartitions = 1 << 20

// offsets gives a ledger with the last data offset + 1 of every partition: from the progress topic if its last record
// belongs to the state's point, otherwise from the tables' topics. Parts of a split transaction write no progress, so
// then always from the topics.
func (r *stateReader) offsets(ctx context.Context, state *cdc.State, end int64) (*ledger, error) {
	if !state.Point.Partial {
		records, err := r.progress(ctx, end, r.ours)
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
		err := r.options.blame(topic, r.deriveOffsets(ctx, l, topic))
		switch {
		case err == nil:
		case cdc.OfOneTable(err) == nil:
			return nil, err
		default: // EnsureTopic says so of its table
			l.troubled[topic] = err
		}
	}
	return l, nil
}

// raise brings the offsets up to where the logs begin: where all records were deleted, the last data record lies before
// that, by the marker of its transaction at least, and a generation that is opened now would seem to have lost rows.
func (r *stateReader) raise(ctx context.Context, l *ledger) error {
	if len(l.topics) == 0 {
		return nil
	}
	starts, err := r.adm.ListStartOffsets(ctx, slices.Sorted(maps.Keys(l.topics))...)
	if err != nil {
		return fmt.Errorf("list where the topics begin: %w", err)
	}
	starts.Each(func(o kadm.ListedOffset) { // one that cannot be listed is EnsureTopic's to tell
		if t := l.topics[o.Topic]; o.Err == nil && int(o.Partition) < len(t.next) && o.Offset > max(t.next[o.Partition], 0) {
			l.known(o.Topic, o.Partition, o.Offset)
		}
	})
	return nil
}

// deriveOffsets finds the last committed data record of every partition of a topic.
func (r *stateReader) deriveOffsets(ctx context.Context, l *ledger, topic string) error {
	starts, err := r.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("list the offsets of topic %s: %w", topic, err)
	}
	ends, err := r.closedEnds(ctx, true, topic)
	if err != nil {
		return err
	}
	for partition, end := range ends[topic] {
		start := starts[topic][partition]
		err := errors.Join(end.Err, start.Err)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // deleted since: nothing to wait for; capture checks its topics itself
		}
		next := int64(0)
		if err == nil {
			next, err = r.lastData(ctx, topic, partition, start.Offset, end.Offset)
		}
		if err != nil {
			return fmt.Errorf("topic %s partition %d: read the last offset: %w", topic, partition, err)
		}
		if next > 0 {
			l.known(topic, partition, next)
		}
	}
	return nil
}

// lastData is the offset after the last committed data record in [start, end), start if there is none.
func (r *stateReader) lastData(ctx context.Context, topic string, partition int32, start, end int64) (int64, error) {
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
