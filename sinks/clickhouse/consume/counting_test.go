package consume

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// plainBatch is a batch without compression, of records that are already in Kafka's format, which claims so many.
func plainBatch(records []byte, claims int) []byte {
	b := kmsg.RecordBatch{
		Length: int32(49 + len(records)), Magic: 2, LastOffsetDelta: int32(claims - 1), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(claims), Records: records, PartitionLeaderEpoch: -1,
	}
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], castagnoli))
	return out
}

// tiny are records without anything in them.
func tiny(n int) (out []byte) {
	for i := range n {
		body := append(binary.AppendVarint([]byte{0, 0}, int64(i)), 1, 1, 0)
		out = append(binary.AppendVarint(out, int64(len(body))), body...)
	}
	return out
}

// headed is one record with so many empty headers.
func headed(n int) []byte {
	body := append(binary.AppendVarint([]byte{0, 0, 0, 1, 1}, int64(n)), make([]byte, 2*n)...)
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// produceRaw writes a batch as it is.
func produceRaw(t *testing.T, client *kgo.Client, batch []byte) {
	t.Helper()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	of := kmsg.NewProduceRequestTopic()
	of.Topic, of.Partitions = "t", []kmsg.ProduceRequestTopicPartition{p}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 10_000, []kmsg.ProduceRequestTopic{of}
	answer, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode))
}

// TestPlainBatchesAreCounted: a batch without compression of very many tiny records, or of a record with very many
// headers, takes no more memory than what was sent; it is named and passed over, and what follows comes.
func TestPlainBatchesAreCounted(t *testing.T) {
	const many = 1_000_000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "50000000"}))
	require.NoError(t, err)
	defer cluster.Close()
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MaxVersions(kversion.V3_5_0()))
	require.NoError(t, err)
	defer producer.Close()
	few := tiny(3)
	produceRaw(t, producer, plainBatch(few, 3))
	produceRaw(t, producer, plainBatch(tiny(many), many))
	produceRaw(t, producer, plainBatch(headed(many), 1))
	produceRaw(t, producer, plainBatch(few, 3))

	unpack, err := newUnpacker(3<<20, 8<<20)
	require.NoError(t, err)
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	counted, err := counting(opts, 100_000)
	require.NoError(t, err)
	client, err := kgo.NewClient(append(append(opts, counted...), kgo.ConsumeTopics("t"), kgo.WithDecompressor(unpack), kgo.WithHooks(unpack),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	defer client.Close()
	unpack.holds(client.BufferedFetchBytes)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	records, passedOver := 0, []int64{}
	for records < 6 {
		fetches := client.PollRecords(ctx, 100)
		require.NoError(t, ctx.Err())
		records += fetches.NumRecords()
		fetches.EachError(func(_ string, _ int32, err error) {
			var large *kgo.ErrDecompressTooLarge
			require.True(t, errors.As(err, &large), "%v", err)
			passedOver = append(passedOver, large.Offset)
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{"t": {0: {Epoch: large.Epoch, Offset: large.NextOffset}}})
		})
	}
	runtime.ReadMemStats(&now)
	require.Equal(t, []int64{3, 3 + many}, passedOver)
	require.Less(t, now.TotalAlloc-before.TotalAlloc, uint64(100<<20), "kfake, too, reads 10 MB a few times; the records alone would take 200 MB")
}

// answerTo is what a broker sends for a fetch of that version, with a header.
func answerTo(version int16, id uint32, batches []byte) []byte {
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches = batches
	of := kmsg.NewFetchResponseTopic()
	of.Topic, of.Partitions = "t", []kmsg.FetchResponseTopicPartition{p}
	answer := kmsg.NewPtrFetchResponse()
	answer.Version, answer.Topics = version, []kmsg.FetchResponseTopic{of}
	head := binary.BigEndian.AppendUint32(nil, id)
	if answer.IsFlexible() {
		head = append(head, 0)
	}
	body := append(head, answer.AppendTo(nil)...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// TestCountedConn: of everything that a broker sends only codec and checksum of batches that are not compressed, or
// claim too much, differ, whatever the pieces in which it comes and is read; control batches, damaged ones and answers
// to other requests are passed on as they are.
func TestCountedConn(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(uint64(seed), 0))
	codecOf := func(b []byte, codec byte) []byte {
		b = bytes.Clone(b)
		b[22] = b[22]&^7 | codec
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
		return b
	}
	plain, claims, packed := plainBatch(tiny(5), 5), plainBatch(tiny(5), 101), codecOf(plainBatch(tiny(5), 5), 3)
	control := bytes.Clone(plain)
	control[22] |= 1 << 5
	damaged := bytes.Clone(plain)
	damaged[40]++
	cut := plain[:len(plain)-3]
	sent := slices.Concat(packed, plain, claims, codecOf(claims, 4), control, damaged, cut)
	want := slices.Concat(packed, codecOf(plain, 7), codecOf(claims, 6), codecOf(claims, 6), control, damaged, cut)
	for version := int16(4); version <= 17; version++ {
		here, there := net.Pipe()
		c := &countedConn{Conn: here, mostRecords: 100, fetches: map[int32]int16{}}
		requests := make(chan []byte)
		go func() {
			for _, key := range []byte{1, 3} {
				request := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8, 0, key, 0, byte(version)}, uint32(key)+70)
				_, _ = c.Write(request)
			}
			close(requests)
		}()
		_, err := there.Read(make([]byte, 12))
		require.NoError(t, err)
		_, err = there.Read(make([]byte, 12))
		require.NoError(t, err)
		<-requests
		stream := slices.Concat(answerTo(version, 73, sent), answerTo(version, 71, sent), answerTo(version, 71, sent), []byte{0, 0, 0, 2, 9, 9, 0, 0, 0, 6, 1, 2, 3, 4, 5, 6})
		go func() {
			for rest := stream; len(rest) > 0; {
				n := min(1+rnd.IntN(400), len(rest))
				_, _ = there.Write(rest[:n])
				rest = rest[n:]
			}
			_ = there.Close()
		}()
		var got []byte
		p := make([]byte, 300)
		for err = nil; err == nil; {
			var n int
			n, err = c.Read(p[:1+len(got)%len(p)])
			got = append(got, p[:n]...)
		}
		fetched := answerTo(version, 71, want)
		fetched2 := answerTo(version, 71, sent) // it is answered already
		require.Equal(t, slices.Concat(answerTo(version, 73, sent), fetched, fetched2, stream[len(stream)-16:]), got, "version %d", version)
		require.NoError(t, here.Close())
	}
}
