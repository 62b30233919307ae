package consume

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestHeader: who wrote a batch is known without unpacking it, however the broker sends it; and a group that was
// stopped by such batches, one after the other in two topics, goes on behind them.
func TestHeader(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, "t", "u"))
	require.NoError(t, err)
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("x"), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerBatchMaxBytes(64<<20))
	require.NoError(t, err)
	defer producer.Close()
	sizes := []int{10, 8 << 20, 8 << 20, 20}
	for _, topic := range []string{"t", "u"} {
		for _, size := range sizes {
			require.NoError(t, producer.BeginTransaction())
			require.NoError(t, producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, size)}).FirstErr())
			require.NoError(t, producer.EndTransaction(ctx, kgo.TryCommit))
		}
	}
	id, _, err := producer.ProducerID(ctx)
	require.NoError(t, err)

	unpack, err := newUnpacker(3<<20, 8<<20)
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("t", "u"), kgo.ConsumerGroup("g"), kgo.DisableAutoCommit(),
		kgo.MaxConcurrentFetches(2), kgo.WithDecompressor(unpack), kgo.WithHooks(unpack), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	unpack.holds(client.BufferedFetchBytes)
	g := &Group{Client: client, Admin: kadm.NewClient(client)}
	next := map[string]map[int32]int64{"t": {0: 0}, "u": {0: 0}}
	for got := 0; got < 4; {
		fetches := client.PollRecords(ctx, 1000)
		require.NoError(t, ctx.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= next[r.Topic][0] {
				next[r.Topic][0] = r.Offset + 1
				got++
			}
		})
		stopped := false
		fetches.EachError(func(_ string, _ int32, err error) {
			var large *kgo.ErrDecompressTooLarge
			require.True(t, errors.As(err, &large), "%v", err)
			header, err := g.Header(ctx, large.Topic, large.Partition, large.Offset)
			require.NoError(t, err)
			require.Equal(t, Header{Producer: id, Transactional: true}, header)
			next[large.Topic][0], stopped = large.NextOffset, true
		})
		if stopped {
			g.GoOn(next)
		}
	}
	_, err = g.Header(ctx, "nowhere", 0, 0)
	require.Error(t, err)
}

func TestParseHeader(t *testing.T) {
	raw := make([]byte, 61)
	binary.BigEndian.PutUint64(raw, 7)
	raw[16], raw[22] = 2, 1<<4
	binary.BigEndian.PutUint64(raw[43:], 99)
	header, err := parseHeader(raw, 7)
	require.NoError(t, err)
	require.Equal(t, Header{Producer: 99, Transactional: true}, header)
	for n := range raw {
		_, err := parseHeader(raw[:n], 7)
		require.Error(t, err, n)
	}
	_, err = parseHeader(raw, 6)
	require.Error(t, err, "another batch")
	raw[16] = 1
	_, err = parseHeader(raw, 7)
	require.Error(t, err, "an older format")
}
