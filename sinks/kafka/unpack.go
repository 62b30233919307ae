package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/schemas/kafkabatch"
)

// The topics that are read back hold what anybody wrote who may write to them, and Kafka bounds only what it sends:
// that may unpack to a thousand times its size. So one answer is unpacked up to mostUnpacked, or to a single batch; the
// next request begins with what is left. A batch that is larger than any of capture's is not unpacked at all.

const mostUnpacked = 32 << 20

// errLater leaves a batch for the next request.
var errLater = errors.New("unpacked with the next request")

// unpackSome unpacks the batches of one answer until they are enough.
type unpackSome struct {
	kgo.Decompressor
	mostWeight int64 // of one batch, with its records and their headers
	unpacked   int
}

// Decompress implements kgo.Decompressor.
func (u *unpackSome) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if u.unpacked >= mostUnpacked {
		return nil, errLater
	}
	out, err := u.Decompressor.Decompress(src, codec)
	if err == nil && kafkabatch.Weigh(out) > u.mostWeight {
		return nil, kgo.ErrMaxDecompress
	}
	if u.unpacked > 0 && u.unpacked+len(out) > mostUnpacked {
		return nil, errLater
	}
	u.unpacked += len(out)
	return out, err
}

// batchHead is what a batch says of itself before it is unpacked.
type batchHead struct {
	first, next   int64 // offsets: its own, and that of the next batch
	size          int   // with the fields before its length
	records       int
	producer      int64
	transactional bool
	plain         bool // without compression
}

const headBytes = 61

// parseHead reads the head of the first batch in b; false if b has no whole batch of version 2, the only one that
// brokers of today keep.
func parseHead(b []byte) (h batchHead, whole bool) {
	const lengthAt, beforeLength, magicAt, attributesAt, deltaAt, producerAt, recordsAt, codecs = 8, 12, 16, 21, 23, 43, 57, 7
	if len(b) < headBytes || b[magicAt] != 2 {
		return h, false
	}
	number := func(at int) int { return int(int32(binary.BigEndian.Uint32(b[at:]))) }  //nolint:gosec // as Kafka writes them
	h.first, h.size = int64(binary.BigEndian.Uint64(b)), number(lengthAt)+beforeLength //nolint:gosec // as above
	h.next, h.records = h.first+int64(number(deltaAt))+1, number(recordsAt)
	h.producer = int64(binary.BigEndian.Uint64(b[producerAt:])) //nolint:gosec // as above
	h.plain = b[attributesAt+1]&codecs == 0
	h.transactional = binary.BigEndian.Uint16(b[attributesAt:])&(1<<4) != 0
	return h, h.size >= headBytes && h.size <= len(b)
}

// weight is what is known of the memory that the records of a batch take, before it is unpacked.
func (h batchHead) weight(batch []byte) int64 {
	weight := kafkabatch.RecordsWeight(h.records)
	if h.plain {
		weight = max(weight, kafkabatch.Weigh(batch[headBytes:h.size]))
	}
	return weight
}

// few gives as many whole batches as have few records, at least one.
func few(batches []byte) []byte {
	at := 0
	for weight := int64(0); ; {
		h, whole := parseHead(batches[at:])
		if !whole {
			break
		}
		if weight += h.weight(batches[at:]); at > 0 && weight > mostUnpacked {
			break
		}
		at += h.size
	}
	if at == 0 {
		return batches // the client says what is wrong with them
	}
	return batches[:at]
}

// unpack gives the committed records of an answer's batches from an offset on, and where to go on.
func (r *stateReader) unpack(ctx context.Context, opts kgo.ProcessFetchPartitionOpts, p *kmsg.FetchResponseTopicPartition) ([]*kgo.Record, int64, error) {
	first, whole := parseHead(p.RecordBatches)
	most := kafkabatch.MostWeight(r.options.mostBatch())
	if whole && first.weight(p.RecordBatches) > most {
		records, err := r.passOver(ctx, opts.Topic, first, p.AbortedTransactions)
		return records, first.next, err
	}
	p.RecordBatches = few(p.RecordBatches)
	got, next := kgo.ProcessFetchPartition(opts, p, &unpackSome{Decompressor: r.dec, mostWeight: most}, nil)
	large := (*kgo.ErrDecompressTooLarge)(nil)
	switch later := errors.As(got.Err, &large) || errors.Is(got.Err, errLater); {
	case large != nil && whole && large.Offset == first.first:
		records, err := r.passOver(ctx, opts.Topic, first, p.AbortedTransactions)
		return records, first.next, err
	case later && next > opts.Offset: // the batches before it had no record that counts
		return got.Records, next, nil
	}
	return got.Records, next, got.Err
}

// mostBatch is the most that a batch of capture's unpacks to.
func (o *Options) mostBatch() int { return int(o.ownMessageBytes()) + batchOverhead }

// passOver gives what counts of a batch that is too large to be unpacked: of a table's topic the offset of its last
// record, of one of our own nothing, unless a capture wrote it, of which there is none as large.
func (r *stateReader) passOver(
	ctx context.Context, topic string, h batchHead, aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction,
) ([]*kgo.Record, error) {
	if !r.options.isOwn(topic) {
		return []*kgo.Record{{Topic: topic, Offset: h.next - 1}}, nil
	}
	foreign := !h.transactional || slices.ContainsFunc(aborted, func(a kmsg.FetchResponseTopicPartitionAbortedTransaction) bool {
		return a.ProducerID == h.producer && a.FirstOffset <= h.first
	})
	if !foreign && topic != r.options.stateTopic() {
		ids, err := r.producers(ctx)
		if err != nil {
			return nil, err
		}
		_, ours := ids[h.producer]
		foreign = !ours
	}
	if foreign || r.options.Anew {
		r.warnForeign(topic, h.first)
		return nil, nil
	}
	return nil, unreadable(fmt.Sprintf("the batch at offset %d unpacks to more than any of capture's", h.first), nil)
}
