package kafka

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
	"dirtbike/schemas/kafkabatch"
)

// zeros unpacks to that many bytes.
type zeros int

func (z zeros) Decompress([]byte, kgo.CompressionCodecType) ([]byte, error) {
	return make([]byte, z), nil
}

// TestAnAnswerIsUnpackedInPieces: one batch of an answer is always unpacked, more only as long as they are few.
func TestAnAnswerIsUnpackedInPieces(t *testing.T) {
	u := &unpackSome{Decompressor: zeros(mostUnpacked/2 - 1), mostWeight: math.MaxInt64}
	for range 2 {
		_, err := u.Decompress(nil, kgo.CodecLz4)
		require.NoError(t, err)
	}
	_, err := u.Decompress(nil, kgo.CodecLz4)
	require.ErrorIs(t, err, errLater, "it would be too much")
	require.Less(t, u.unpacked, mostUnpacked)
	u = &unpackSome{Decompressor: zeros(mostUnpacked + 1), mostWeight: math.MaxInt64}
	_, err = u.Decompress(nil, kgo.CodecLz4)
	require.NoError(t, err, "the first one")
	_, err = u.Decompress(nil, kgo.CodecLz4)
	require.ErrorIs(t, err, errLater)
	u = &unpackSome{Decompressor: zeros(1000), mostWeight: 100_000}
	_, err = u.Decompress(nil, kgo.CodecLz4)
	require.ErrorIs(t, err, kgo.ErrMaxDecompress, "so many records of nothing")

	batch := func(records uint32) []byte {
		b := make([]byte, 70)
		b[11], b[16], b[22] = 70-12, 2, 3
		binary.BigEndian.PutUint32(b[57:], records)
		return b
	}
	half := uint32(mostUnpacked / kafkabatch.RecordsWeight(1) / 2)
	all := bytes.Join([][]byte{batch(half), batch(half), batch(1), batch(1)}, nil)
	require.Len(t, few(all), 140)
	require.Len(t, few(all[70:]), 210)
	require.Len(t, few(batch(10*half)), 70, "the first one")
	require.Len(t, few(all[:100]), 70, "the rest is cut off")
	require.Len(t, few(all[:50]), 50)
	_, whole := parseHead(append([]byte{}, all[:61]...))
	require.False(t, whole)
}

// TestLargeForeignBatches: whatever another writer packs into the pipeline's topics, in batches that unpack to more
// than any of capture's or to very many records, is not unpacked, and changes nothing.
func TestLargeForeignBatches(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	s := started(t, o, topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 5))
	require.NoError(t, err)
	part := sinktest.PointAt(3)
	part.Partial = true // the ends of the table's topic are read
	_, err = s.Commit(t.Context(), part, sinktest.Table("claims", topic.Name))
	require.NoError(t, err)
	before, err := s.Peek(t.Context())
	require.NoError(t, err)

	codec := kgo.ZstdCompression()
	pack := func(transactional string, records ...*kgo.Record) {
		opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(64 << 20),
			kgo.ProducerLinger(100 * time.Millisecond), kgo.MaxBufferedRecords(1 << 20)}
		if transactional != "" {
			opts = append(opts, kgo.TransactionalID(transactional))
		}
		client, err := kgo.NewClient(opts...)
		require.NoError(t, err)
		defer client.Close()
		if transactional != "" {
			require.NoError(t, client.BeginTransaction())
		}
		require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
		if transactional != "" {
			require.NoError(t, client.EndTransaction(t.Context(), transactional != "aborted"))
		}
	}
	large := func(topic string) *kgo.Record { return &kgo.Record{Topic: topic, Value: make([]byte, 8<<20)} }
	many := make([]*kgo.Record, kafkabatch.MostRecords(s.o.mostBatch())*5/4)
	for i := range many {
		many[i] = &kgo.Record{Topic: s.o.stateTopic()}
	}
	pack("", many...)
	codec = kgo.NoCompression()
	pack("", many...)
	headers := &kgo.Record{Topic: s.o.stateTopic(), Headers: make([]kgo.RecordHeader, kafkabatch.MostRecords(s.o.mostBatch())*8)}
	pack("", headers)
	codec = kgo.ZstdCompression()
	pack("", headers)
	for _, own := range []string{s.o.stateTopic(), s.o.progressTopic(), s.o.controlTopic()} {
		pack("", large(own))
		pack("aborted", large(own))
	}
	for range 9 {
		pack("", &kgo.Record{Topic: s.o.stateTopic(), Value: make([]byte, 4<<20)})
	}
	pack("forged", large(s.o.progressTopic()), large(s.o.controlTopic()))
	after, err := s.Peek(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
	pack("", large(topic.Name))
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, part, state.Point)
	require.EqualValues(t, 7, known(s.ledger)[topic.Name]["0"], "5 records, a marker, and the large one")
	log, err := s.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	require.Empty(t, log.Records)

	pack("claimed", &kgo.Record{Topic: s.o.stateTopic(), Key: []byte("nonsense")}, large(s.o.stateTopic()))
	_, err = s.Peek(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused, "who may claim the pipeline may break it")
	o.Anew = true
	_, err = newSink(t, o).Peek(t.Context())
	require.NoError(t, err, "resnapshot --all is a way out")
}
