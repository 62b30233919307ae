package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// Position is (epoch, commit LSN, ordinal) of rule 1.
type Position struct{ Epoch, CommitLSN, Ordinal uint64 }

// Compare orders positions.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.CommitLSN, q.CommitLSN), cmp.Compare(p.Ordinal, q.Ordinal))
}

// String writes "epoch:commit LSN:ordinal", the LSN as Postgres does.
func (p Position) String() string {
	return fmt.Sprintf("%d:%X/%X:%d", p.Epoch, p.CommitLSN>>32, p.CommitLSN&0xffffffff, p.Ordinal)
}

// Control is what the key of a control record says (rules 11 and 13).
type Control struct {
	Kind       string // truncate, open or end; empty: a table's key, the record is of a row
	Generation int64
	Leaf       int64
	Partition  int64 // that it was written for
}

// Record is one record of a table's topic.
type Record struct {
	Topic      string
	Partition  int32
	Partitions int // of the topic
	Offset     int64
	Control    Control
	// Tombstone says that the value is nil; Op, Source and the fields after it are then empty.
	Tombstone bool
	Op        Op
	// Key maps the key columns to canonical text; nil for control records.
	Key map[string]string
	// KeyBytes is the encoded key without its framing: equal keys have equal bytes.
	KeyBytes string
	// Position, and the rest of the envelope's source.
	Position   Position
	LSN        uint64
	TxID       int64
	Generation int64
	Snapshot   bool
	// Schema and Table as the source names them.
	Schema, Table string
}

// String says where the record is and what it is.
func (r Record) String() string {
	what := fmt.Sprintf("%s %v", r.Op, r.Key)
	switch {
	case r.Control.Kind != "":
		what = r.Control.Kind
	case r.Tombstone:
		what = fmt.Sprintf("tombstone %v", r.Key)
	}
	return fmt.Sprintf("%s/%d@%d %s at %s", r.Topic, r.Partition, r.Offset, what, r.Position)
}

// ReadTopics reads every record of the topics from the log start up to the last stable offset at the moment of the
// call, as a read_committed consumer sees them, ordered by topic, partition and offset. A topic that does not exist is
// an error; so is a context that ends first: give it a deadline.
func ReadTopics(ctx context.Context, brokers []string, registryURL string, topics []string) ([]Record, error) {
	if len(topics) == 0 {
		return nil, errors.New("oracle: read topics: none named")
	}
	registry, err := sr.NewClient(sr.URLs(registryURL))
	if err != nil {
		return nil, fmt.Errorf("oracle: registry client: %w", err)
	}
	ranges, err := offsetRanges(ctx, brokers, topics)
	if err != nil {
		return nil, err
	}
	r := topicReader{ranges: ranges, avro: avroReader{registry: registry, schemas: map[int]*avro.RecordSchema{}}}
	if err := r.read(ctx, brokers); err != nil {
		return nil, err
	}
	slices.SortFunc(r.records, byOffset)
	return r.records, nil
}

// byOffset orders records as the log has them.
func byOffset(a, b Record) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// offsetRange is what is to be read of a partition: from inclusive, to exclusive.
type offsetRange struct{ from, to int64 }

// offsetRanges asks for log start and last stable offset of every partition.
func offsetRanges(ctx context.Context, brokers, topics []string) (map[string]map[int32]offsetRange, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, fmt.Errorf("oracle: Kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	stable, err := admin.ListCommittedOffsets(ctx, topics...)
	if err = cmp.Or(err, stable.Error()); err != nil {
		return nil, fmt.Errorf("oracle: list last stable offsets: %w", err)
	}
	start, err := admin.ListStartOffsets(ctx, topics...)
	if err = cmp.Or(err, start.Error()); err != nil {
		return nil, fmt.Errorf("oracle: list start offsets: %w", err)
	}
	ranges := map[string]map[int32]offsetRange{}
	stable.Each(func(o kadm.ListedOffset) {
		from, _ := start.Lookup(o.Topic, o.Partition)
		if ranges[o.Topic] == nil {
			ranges[o.Topic] = map[int32]offsetRange{}
		}
		ranges[o.Topic][o.Partition] = offsetRange{from: from.Offset, to: o.Offset}
	})
	return ranges, nil
}

// topicReader is one ReadTopics.
type topicReader struct {
	ranges  map[string]map[int32]offsetRange
	avro    avroReader
	records []Record
}

// read consumes every range to its end. Transaction markers are kept, so that a range that ends in one is seen to end.
func (r *topicReader) read(ctx context.Context, brokers []string) error {
	type partitionName struct {
		topic     string
		partition int32
	}
	offsets, open := map[string]map[int32]kgo.Offset{}, map[partitionName]bool{}
	for topic, partitions := range r.ranges {
		offsets[topic] = map[int32]kgo.Offset{}
		for partition, o := range partitions {
			if o.from < o.to {
				offsets[topic][partition] = kgo.NewOffset().At(o.from)
				open[partitionName{topic, partition}] = true
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(offsets), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return fmt.Errorf("oracle: Kafka client: %w", err)
	}
	defer client.Close()
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("oracle: %d partitions are not read to their end: %w", len(open), err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("oracle: fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		var failed error
		fetches.EachRecord(func(k *kgo.Record) {
			end := r.ranges[k.Topic][k.Partition].to
			if k.Offset >= end-1 {
				delete(open, partitionName{k.Topic, k.Partition})
			}
			if k.Offset < end && !k.Attrs.IsControl() && failed == nil {
				failed = r.add(ctx, k)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// add decodes a record.
func (r *topicReader) add(ctx context.Context, k *kgo.Record) error {
	record := Record{Topic: k.Topic, Partition: k.Partition, Partitions: len(r.ranges[k.Topic]), Offset: k.Offset, Tombstone: k.Value == nil}
	err := r.key(ctx, &record, k.Key)
	if err == nil && !record.Tombstone {
		err = r.value(ctx, &record, k.Value)
	}
	if err != nil {
		return fmt.Errorf("oracle: record %s/%d@%d: %w", k.Topic, k.Partition, k.Offset, err)
	}
	r.records = append(r.records, record)
	return nil
}

// key decodes the key: the record <topic>.Key or <topic>.Control.
func (r *topicReader) key(ctx context.Context, record *Record, framed []byte) error {
	schema, fields, payload, err := r.avro.decode(ctx, framed)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	record.KeyBytes = string(payload)
	switch schema.Name() {
	case "Key":
		record.Key, err = keyFields(schema, fields)
		return err
	case "Control":
		return record.Control.fill(fields)
	}
	return fmt.Errorf("key: record %q is neither Key nor Control", schema.FullName())
}

// fill reads a control key; the generation is optional.
func (c *Control) fill(fields map[string]any) (err error) {
	if c.Kind, err = text(fields, "kind"); err != nil {
		return err
	}
	if unwrap(fields["generation"]) != nil {
		if c.Generation, err = number(fields, "generation"); err != nil {
			return err
		}
	}
	if c.Leaf, err = number(fields, "leaf"); err != nil {
		return err
	}
	c.Partition, err = number(fields, "partition")
	return err
}

// value decodes the envelope as far as Record holds it.
func (r *topicReader) value(ctx context.Context, record *Record, framed []byte) error {
	_, fields, _, err := r.avro.decode(ctx, framed)
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	op, err := text(fields, "op")
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	record.Op = Op(op)
	source, ok := fields["source"].(map[string]any)
	if !ok {
		return errors.New("value: no source")
	}
	if err := record.source(source); err != nil {
		return fmt.Errorf("value: source: %w", err)
	}
	return nil
}

// source reads the envelope's source.
func (r *Record) source(source map[string]any) error {
	var numbers [6]int64
	for i, name := range []string{"epoch", "commit_lsn", "ordinal", "lsn", "tx_id", "generation"} {
		n, err := number(source, name)
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	r.Position = Position{Epoch: uint64(numbers[0]), CommitLSN: uint64(numbers[1]), Ordinal: uint64(numbers[2])} //nolint:gosec // as written
	r.LSN, r.TxID, r.Generation = uint64(numbers[3]), numbers[4], numbers[5]                                     //nolint:gosec // as written
	var ok bool
	if r.Snapshot, ok = unwrap(source["snapshot"]).(bool); !ok {
		return errors.New(`field "snapshot" is no boolean`)
	}
	var err1, err2 error
	r.Schema, err1 = text(source, "schema")
	r.Table, err2 = text(source, "table")
	return errors.Join(err1, err2)
}
