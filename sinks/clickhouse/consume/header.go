package consume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Header is what a batch says of itself before it is unpacked.
type Header struct {
	Producer      int64 // Kafka's id of the producer; -1 if it had none
	Transactional bool
}

const (
	headerTime = 5 * time.Second // bounds the question for one header
	headerWait = 2500            // milliseconds that the broker may wait
)

// Header asks the partition's leader for the batch that begins at an offset, and does not unpack it: for one that is
// too large to be read. It asks once.
func (g *Group) Header(ctx context.Context, topic string, partition int32, offset int64) (Header, error) {
	ctx, cancel := context.WithTimeout(ctx, headerTime)
	defer cancel()
	raw, err := g.raw(ctx, topic, partition, offset)
	if err != nil {
		return Header{}, fmt.Errorf("read the header of a batch: %w", err)
	}
	return parseHeader(raw, offset)
}

// raw gives the first batch at an offset as the broker has it: it sends one whatever its size.
func (g *Group) raw(ctx context.Context, topic string, partition int32, offset int64) ([]byte, error) {
	topics, err := g.Admin.ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	at, known := topics[topic].Partitions[partition]
	if !known {
		return nil, kerr.UnknownTopicOrPartition
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, topics[topic].ID, []kmsg.FetchRequestTopicPartition{p}
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, headerWait, 1, 1, -1
	req.Topics = []kmsg.FetchRequestTopic{t}
	answer, err := g.Client.Broker(int(at.Leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	return onlyPartition(answer.(*kmsg.FetchResponse))
}

// onlyPartition gives the bytes of an answer about one partition.
func onlyPartition(answer *kmsg.FetchResponse) ([]byte, error) {
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, err
	}
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return nil, errors.New("the broker answers for other partitions")
	}
	found := answer.Topics[0].Partitions[0]
	return found.RecordBatches, kerr.ErrorForCode(found.ErrorCode)
}

// parseHeader reads the fixed fields at the beginning of a batch of version 2, the only one that is compressed as a
// whole.
func parseHeader(raw []byte, offset int64) (Header, error) {
	const size, magicAt, attributesAt, producerAt, transactional = 61, 16, 21, 43, 1 << 4
	if len(raw) < size || raw[magicAt] != 2 {
		return Header{}, errors.New("the broker sent no whole batch of version 2")
	}
	if first := int64(binary.BigEndian.Uint64(raw)); first != offset { //nolint:gosec // as Kafka writes it
		return Header{}, fmt.Errorf("the broker sent the batch at offset %d", first)
	}
	attributes := binary.BigEndian.Uint16(raw[attributesAt:])
	return Header{Producer: int64(binary.BigEndian.Uint64(raw[producerAt:])), Transactional: attributes&transactional != 0}, nil //nolint:gosec // as above
}
