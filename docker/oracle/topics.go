package oracle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// Record is one record of a table's topic, or a record of the control topic at its place in one partition.
type Record struct {
	Topic      string
	Partition  int32
	Partitions int // of the topic
	Offset     int64
	Control    string // truncate, open or end (rules 11 and 13): it stands before the record at the offset; empty: a row's
	// Tombstone says that the value is nil; Op and the fields of the source are then empty.
	Tombstone bool
	Op        Op
	// Key maps the key columns to canonical text; nil for control records.
	Key map[string]string
	// KeyBytes is the encoded key without its framing: equal keys have equal bytes.
	KeyBytes string
	// Position, and what else of the envelope's source is compared.
	Position         Position
	TxID, Generation int64
	Schema, Table    string
}

// String says where the record is and what it is.
func (r Record) String() string {
	what := fmt.Sprintf("%s %v", r.Op, r.Key)
	switch {
	case r.Control != "":
		what = r.Control
	case r.Tombstone:
		what = fmt.Sprintf("tombstone %v", r.Key)
	}
	return fmt.Sprintf("%s/%d@%d %s at %s", r.Topic, r.Partition, r.Offset, what, r.Position)
}

// ReadTopics reads every record of the topics from the log start up to the last stable offset at the moment of the
// call, as a read_committed consumer sees them, ordered by topic, partition and offset. Records of the control topic,
// if it is named, are in the topics and partitions that they are about. A topic that does not exist is
// an error; so is a context that ends first: give it a deadline.
func ReadTopics(ctx context.Context, brokers []string, registryURL string, topics []string) ([]Record, error) {
	if len(topics) == 0 {
		return nil, errors.New("oracle: read topics: none named")
	}
	registry, err := sr.NewClient(sr.URLs(registryURL))
	if err != nil {
		return nil, fmt.Errorf("oracle: registry client: %w", err)
	}
	// Transaction markers are kept, so that a partition that ends in one is seen to end.
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return nil, fmt.Errorf("oracle: Kafka client: %w", err)
	}
	defer client.Close()
	r := topicReader{client: client, open: map[partitionName]int64{}, avro: avroReader{registry: registry, schemas: map[int]*avro.RecordSchema{}}}
	if err = r.begin(ctx, topics); err == nil {
		err = r.read(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("oracle: read topics: %w", err)
	}
	slices.SortFunc(r.records, byOffset)
	return r.records, nil
}

// byOffset orders records as the log has them.
func byOffset(a, b Record) int {
	row := func(r Record) int { return min(len(r.Control), 1) }
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset), cmp.Compare(row(b), row(a)))
}

// topicReader is one ReadTopics.
type topicReader struct {
	client  *kgo.Client
	ends    kadm.ListedOffsets      // last stable offsets
	open    map[partitionName]int64 // partitions that are not read to their end, with that end
	avro    avroReader
	records []Record
}

type partitionName struct {
	topic     string
	partition int32
}

// begin asks for log start and last stable offset of every partition, and consumes those that are not empty.
func (r *topicReader) begin(ctx context.Context, topics []string) (err error) {
	admin := kadm.NewClient(r.client)
	if r.ends, err = admin.ListCommittedOffsets(ctx, topics...); cmp.Or(err, r.ends.Error()) != nil {
		return fmt.Errorf("list last stable offsets: %w", cmp.Or(err, r.ends.Error()))
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err = cmp.Or(err, starts.Error()); err != nil {
		return fmt.Errorf("list start offsets: %w", err)
	}
	starts.Each(func(start kadm.ListedOffset) {
		if end, _ := r.ends.Lookup(start.Topic, start.Partition); start.Offset < end.Offset {
			r.open[partitionName{start.Topic, start.Partition}] = end.Offset
			r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{start.Topic: {start.Partition: kgo.NewOffset().At(start.Offset)}})
		}
	})
	return nil
}

// read consumes every partition to its end.
func (r *topicReader) read(ctx context.Context) error {
	for len(r.open) > 0 {
		fetches := r.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d partitions are not read to their end: %w", len(r.open), err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			k := iter.Next()
			end := r.ends[k.Topic][k.Partition].Offset
			if k.Offset >= end-1 {
				delete(r.open, partitionName{k.Topic, k.Partition})
			}
			if k.Offset >= end || k.Attrs.IsControl() {
				continue
			}
			if err := r.add(ctx, k); err != nil {
				return fmt.Errorf("record %s/%d@%d: %w", k.Topic, k.Partition, k.Offset, err)
			}
		}
	}
	return nil
}

// add decodes a record.
func (r *topicReader) add(ctx context.Context, k *kgo.Record) error {
	if strings.HasPrefix(k.Topic, "_") {
		return r.control(k.Value)
	}
	record := Record{Topic: k.Topic, Partition: k.Partition, Partitions: len(r.ends[k.Topic]), Offset: k.Offset, Tombstone: k.Value == nil}
	if err := r.key(ctx, &record, k.Key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if !record.Tombstone {
		if err := r.value(ctx, &record, k.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	r.records = append(r.records, record)
	return nil
}

// control decodes a record of the control topic.
func (r *topicReader) control(value []byte) error {
	var c struct {
		Kind, Topic, Schema, Table string
		Generation, Epoch          int64
		CommitLSN                  string `json:"commit_lsn"`
		Ordinal                    uint64
		TxID                       int64 `json:"tx_id"`
		Offsets                    map[string]int64
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	var high, low uint64
	if _, err := fmt.Sscanf(c.CommitLSN, "%X/%X", &high, &low); err != nil {
		return fmt.Errorf("commit_lsn %q: %w", c.CommitLSN, err)
	}
	op := OpMarker
	if c.Kind == "truncate" {
		op = OpTruncate
	}
	for partition, place := range c.Offsets {
		n, err := strconv.ParseInt(partition, 10, 32)
		if err != nil {
			return err
		}
		r.records = append(r.records, Record{
			Topic: c.Topic, Partition: int32(n), Partitions: len(r.ends[c.Topic]), Offset: place, Control: c.Kind, Op: op, TxID: c.TxID,
			Position:   Position{Epoch: uint64(c.Epoch), CommitLSN: high<<32 | low, Ordinal: c.Ordinal}, //nolint:gosec // from 1
			Generation: c.Generation, Schema: c.Schema, Table: c.Table,
		})
	}
	return nil
}

// key decodes the key: the record <topic>.Key.
func (r *topicReader) key(ctx context.Context, record *Record, framed []byte) error {
	schema, fields, payload, err := r.avro.decode(ctx, framed)
	if err != nil {
		return err
	}
	record.KeyBytes = string(payload)
	if schema.Name() != "Key" {
		return fmt.Errorf("record %q is no Key", schema.FullName())
	}
	record.Key, err = keyFields(schema, fields.values)
	return err
}

// value decodes the envelope as far as Record holds it.
func (r *topicReader) value(ctx context.Context, record *Record, framed []byte) error {
	_, envelope, _, err := r.avro.decode(ctx, framed)
	if err != nil {
		return err
	}
	record.Op = Op(envelope.text("op"))
	source, ok := envelope.values["source"].(map[string]any)
	if !ok {
		return errors.New("no source")
	}
	s := fieldReader{values: source}
	record.Position = Position{Epoch: s.unsigned("epoch"), CommitLSN: s.unsigned("commit_lsn"), Ordinal: s.unsigned("ordinal")}
	record.TxID, record.Generation = s.number("tx_id"), s.number("generation")
	record.Schema, record.Table = s.text("schema"), s.text("table")
	return errors.Join(envelope.err, s.err)
}
