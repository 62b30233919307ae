package consume

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/schemas/kafkabatch"
)

// packed compresses what a batch of records would be.
func packed(t *testing.T, size int) []byte {
	t.Helper()
	c, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	require.NoError(t, err)
	var into bytes.Buffer
	out, codec := c.Compress(&into, make([]byte, size))
	require.Equal(t, kgo.CodecLz4, codec)
	return bytes.Clone(out)
}

// TestUnpacker: what is unpacked stays below the bound whatever it was packed to, a single batch is let through, one
// that is larger than capture's is never unpacked, and records count with what the client keeps of each.
func TestUnpacker(t *testing.T) {
	u, err := newUnpacker(1<<20, 2<<20)
	require.NoError(t, err)
	_, err = u.Decompress(packed(t, 3<<20), kgo.CodecLz4)
	require.ErrorIs(t, err, kgo.ErrMaxDecompress)
	require.Zero(t, u.unpacked)

	batch := bytes.Repeat(append([]byte{60 << 1}, make([]byte, 60)...), 10_000)
	got, err := u.Decompress(batch, codecPlain)
	require.NoError(t, err, "a single batch is let through")
	require.Len(t, got, 610_000)
	require.Equal(t, kafkabatch.Weigh(batch), u.unpacked)
	_, err = u.Decompress(packed(t, 1<<10), kgo.CodecLz4)
	require.ErrorIs(t, err, errLater)
	u.OnBrokerRead(kgo.BrokerMetadata{}, 1, 0, 0, 0, nil)
	u.holds(func() int64 { return 2 << 20 })
	_, err = u.Decompress(packed(t, 1<<10), kgo.CodecLz4)
	require.ErrorIs(t, err, errLater, "the client holds as much")
	u.holds(func() int64 { return 0 })
	_, err = u.Decompress(bytes.Repeat([]byte{0}, 1<<19), codecPlain)
	require.ErrorIs(t, err, kgo.ErrMaxDecompress, "records of nothing")
	_, err = u.Decompress(nil, codecTooMany)
	require.ErrorIs(t, err, kgo.ErrMaxDecompress)
}

// TestUnpackedIsBounded: a topic that unpacks to a hundred times what is sent is read whole, and the client never holds
// more than the bound and one batch; a batch that is too large is named, and passed over by its offset.
func TestUnpackedIsBounded(t *testing.T) {
	const most, size, batches = 8 << 20, 2 << 20, 60
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
	require.NoError(t, err)
	defer cluster.Close()
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(64<<20))
	require.NoError(t, err)
	defer producer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	produce := func(partition int32, size int) {
		require.NoError(t, producer.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: partition, Value: make([]byte, size)}).FirstErr())
	}
	for i := range batches {
		produce(int32(i%2), size)
	}
	produce(0, 40<<20)
	produce(0, size)

	unpack, err := newUnpacker(3<<20, most)
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("t"), kgo.MaxConcurrentFetches(2),
		kgo.WithDecompressor(unpack), kgo.WithHooks(unpack), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	unpack.holds(client.BufferedFetchBytes)
	for got := 0; got < batches+1; {
		require.LessOrEqual(t, client.BufferedFetchBytes(), int64(most+size))
		fetches := client.PollRecords(ctx, 1)
		require.NoError(t, ctx.Err())
		fetches.EachError(func(_ string, _ int32, err error) {
			var large *kgo.ErrDecompressTooLarge
			require.True(t, errors.As(err, &large), "%v", err)
			require.EqualValues(t, []int64{batches / 2, batches/2 + 1}, []int64{large.Offset, large.NextOffset})
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{"t": {0: {Epoch: large.Epoch, Offset: large.NextOffset}}})
		})
		got += fetches.NumRecords()
	}
}
