package consume

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/schemas/kafkabatch"
)

// unpacker bounds what the consumer unpacks: Kafka bounds what it sends, and a batch that is sent may unpack to a
// thousand times its size.
//
// One batch may unpack to mostBatch bytes, the most that capture writes (kgo.ErrDecompressTooLarge says which batch has
// more). What is unpacked and not yet polled stays below most: beyond, a batch is left where it is and fetched again
// later. A single batch is always let through, so that there is progress. Records count with what the client itself
// keeps of each, or tiny ones would take thirty times their size; batches without compression count, too (countedConn).
//
// The client gives an answer's records to the polls only when the whole answer is unpacked. So what counts is the
// client's own count, and the answers being unpacked: OnBrokerRead, before each, starts counting anew. There are at
// most two at a time (MaxConcurrentFetches).
type unpacker struct {
	inner     kgo.Decompressor
	mostBatch int
	most      int64
	held      func() int64 // bytes that the client holds for the next polls
	mu        sync.Mutex
	unpacked  int64 // of the answers being unpacked
}

// errLater leaves a batch for the next fetch: the client passes over errors that Kafka calls retriable.
var errLater = fmt.Errorf("unpacked when there is room: %w", kerr.ThrottlingQuotaExceeded)

var (
	_ kgo.Decompressor   = (*unpacker)(nil)
	_ kgo.HookBrokerRead = (*unpacker)(nil)
)

// newUnpacker makes one; held is set once there is a client.
func newUnpacker(mostBatch int, most int64) (*unpacker, error) {
	client, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(mostBatch)) // for its decompressor: it never connects
	if err != nil {
		return nil, err
	}
	defer client.Close()
	inner, ok := client.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	if !ok {
		return nil, errors.New("the Kafka client has no decompressor: this is a bug")
	}
	return &unpacker{inner: inner, mostBatch: mostBatch, most: most, held: func() int64 { return 0 }}, nil
}

// holds sets what the client holds.
func (u *unpacker) holds(held func() int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held = held
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (u *unpacker) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	const fetch = 1
	if key == fetch {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.unpacked = 0
	}
}

// Decompress implements kgo.Decompressor.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	held := u.unpacked + u.held()
	if held >= u.most {
		return nil, errLater
	}
	out, err := u.unpack(src, codec)
	if err != nil {
		return nil, err
	}
	size := kafkabatch.Weigh(out)
	switch {
	case size > kafkabatch.MostWeight(u.mostBatch):
		return nil, kgo.ErrMaxDecompress
	case held > 0 && held+size > u.most:
		return nil, errLater
	}
	u.unpacked += size
	return out, nil
}

func (u *unpacker) unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec { //nolint:exhaustive // the others are the client's
	case codecTooMany:
		return nil, kgo.ErrMaxDecompress
	case codecPlain:
		return src, nil
	}
	return u.inner.Decompress(src, codec)
}
