package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

const (
	benchChunks  = 10
	benchRecords = 1000
)

// benchChunk holds records of 200 bytes.
func benchChunk(topic *cdc.Topic) *cdc.Chunk {
	c := &cdc.Chunk{}
	for i := range benchRecords {
		r := cdc.Record{Topic: topic, Partition: int32(i) % topic.Partitions, Key: len(c.Bytes)}
		c.Bytes = fmt.Appendf(c.Bytes, "%016d", i)
		r.Value = len(c.Bytes)
		for j := range 46 {
			c.Bytes = fmt.Appendf(c.Bytes, "%04x", (i*7919+j*104729)&0xffff)
		}
		r.End = len(c.Bytes)
		c.Records = append(c.Records, r)
	}
	return c
}

// BenchmarkCommit compares transactions of 10,000 records of 200 bytes with what the client alone does with the same
// records, in one transaction each as well and without any.
func BenchmarkCommit(b *testing.B) {
	b.Run("sink", benchSink)
	b.Run("plain client, transactions", func(b *testing.B) { benchPlain(b, true) })
	b.Run("plain client", func(b *testing.B) { benchPlain(b, false) })
}

func benchSeeds(b *testing.B, topic *cdc.Topic) []string {
	b.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(b.TempDir()))
	require.NoError(b, err)
	b.Cleanup(c.Close)
	require.NoError(b, c.CreateTopic(topic.Name, topic.Partitions, map[string]string{"max.message.bytes": "1048576"}))
	return c.ListenAddrs()
}

func report(b *testing.B, chunk *cdc.Chunk) {
	b.Helper()
	b.SetBytes(int64(benchChunks * len(chunk.Bytes)))
	b.ReportMetric(float64(b.N*benchChunks*benchRecords)/b.Elapsed().Seconds(), "records/s")
}

func benchSink(b *testing.B) {
	topic := claims("clinic", 6)
	o := options(benchSeeds(b, topic), "clinic")
	o.BufferBytes = 64 << 20
	s, err := New(o)
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close(context.Background())) }()
	_, err = s.Recover(b.Context())
	require.NoError(b, err)
	ensureTopic(b, s, topic)
	chunk := benchChunk(topic)
	b.ReportAllocs()
	for b.Loop() {
		for range benchChunks {
			_, err := s.Write(b.Context(), chunk)
			require.NoError(b, err)
		}
		_, err := s.Commit(b.Context(), sinktest.PointAt(2))
		require.NoError(b, err)
	}
	report(b, chunk)
}

func benchPlain(b *testing.B, transactions bool) {
	topic := claims("clinic", 6)
	opts := []kgo.Opt{kgo.SeedBrokers(benchSeeds(b, topic)...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.MaxBufferedRecords(1 << 18), kgo.MaxBufferedBytes(64 << 20), kgo.ProducerLinger(5 * time.Millisecond)}
	if transactions {
		opts = append(opts, kgo.TransactionalID("plain"))
	}
	client, err := kgo.NewClient(opts...)
	require.NoError(b, err)
	defer client.Close()
	chunk := benchChunk(topic)
	b.ReportAllocs()
	for b.Loop() {
		if transactions {
			require.NoError(b, client.BeginTransaction())
		}
		for range benchChunks {
			for i := range chunk.Records {
				client.Produce(b.Context(), &kgo.Record{Topic: topic.Name, Partition: chunk.Records[i].Partition, Key: chunk.Key(i), Value: chunk.Value(i)}, nil)
			}
		}
		require.NoError(b, client.Flush(b.Context()))
		if transactions {
			require.NoError(b, client.EndTransaction(b.Context(), kgo.TryCommit))
		}
	}
	report(b, chunk)
}
