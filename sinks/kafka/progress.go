package kafka

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

const (
	progressWindow = 4 * fullEvery   // offsets read at first: records and the transactions' markers
	progressMost   = 512 * fullEvery // offsets read at most
)

// progress reads the progress topic backwards until it has a full record; it may return records without one, oldest
// first.
func (r *stateReader) progress(ctx context.Context, end int64) ([]cdc.Progress, error) {
	topic := r.options.progressTopic()
	start, err := ownOffset(topic)(r.records.adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	start = max(start, end-progressMost)
	var all []cdc.Progress
	for window, high := int64(progressWindow), end; high > start; window *= 2 {
		low := max(start, high-window)
		records, err := r.progressRange(ctx, topic, low, high)
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

func (r *stateReader) progressRange(ctx context.Context, topic string, low, high int64) ([]cdc.Progress, error) {
	var records []cdc.Progress
	err := r.records.read(ctx, topic, 0, low, high, func(k *kgo.Record) error {
		p, err := decodeProgress(k.Value)
		records = append(records, p)
		return err
	})
	return records, err
}

// decodeProgress reads a record; one that it cannot read is cdc.ErrRefused.
func decodeProgress(value []byte) (p cdc.Progress, err error) {
	if err = checkFormat(value); err == nil {
		err = json.Unmarshal(value, &p)
	}
	if err != nil {
		return p, unreadable("a progress record").Because(err)
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
				return unreadable("a progress record names partition %q with offset %d", text, next).At("topic " + topic)
			}
			l.known(topic, int32(partition), next)
		}
	}
	return nil
}

// maxPartitions keeps a damaged record from claiming memory.
const maxPartitions = 1 << 20
