package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
	"dirtbike/docker/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func TestConformanceOnKfake(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	sinktest.Exercise(t, func(t *testing.T) sinktest.Pipeline { return pipeline(t, seeds) })
}

var pipelines atomic.Int64

// pipeline is a pipeline with a prefix of its own.
func pipeline(t *testing.T, seeds []string) sinktest.Pipeline {
	t.Helper()
	prefix := fmt.Sprintf("clinic%d", pipelines.Add(1))
	return sinktest.Pipeline{
		Sink: func(t *testing.T, release func(*cdc.Chunk)) cdc.Sink {
			o := options(seeds, prefix)
			o.Release = release
			return newSink(t, o)
		},
		WriteState: func(t *testing.T, s cdc.Sink, p cdc.Point, changed ...cdc.StateChange) {
			sink := s.(*Sink)
			require.NoError(t, sink.begin())
			require.NoError(t, sink.produceState(p, changed))
			require.NoError(t, sink.flush())
		},
		Topic: func(table string, partitions int32, compacted bool) *cdc.Topic {
			return &cdc.Topic{Name: prefix + ".public." + table, Partitions: partitions, Compacted: compacted}
		},
		Read: func(t *testing.T, topic string) []sinktest.Record { return readCommitted(t, seeds, topic) },
	}
}

func options(seeds []string, prefix string) Options {
	return Options{
		Client:             []kgo.Opt{kgo.SeedBrokers(seeds...)},
		Prefix:             prefix,
		TransactionalID:    "dirtbike." + prefix + ".slot",
		MaxMessageBytes:    1 << 20,
		BufferBytes:        4 << 20,
		TransactionTimeout: 30 * time.Second,
	}
}

func newSink(t *testing.T, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return s
}

func fakeCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// readCommitted is a reader of its own: an ordinary consumer, up to the last stable offsets of now.
func readCommitted(t *testing.T, seeds []string, topic string, more ...kgo.Opt) []sinktest.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	defer client.Close()
	ends := closedEnds(ctx, t, kadm.NewClient(client), topic)
	missing := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			missing[o.Partition] = o.Offset
		}
	})
	var got []sinktest.Record
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= missing[r.Partition] {
				delete(missing, r.Partition)
			}
			if !r.Attrs.IsControl() {
				got = append(got, record(r))
			}
		})
	}
	return got
}

// closedEnds gives the last stable offsets. Kafka answers EndTxn before it has written the markers, so it asks
// again for two seconds where something still seems open; what is open after that is meant to be.
func closedEnds(ctx context.Context, t *testing.T, admin *kadm.Client, topic string) (stable kadm.ListedOffsets) {
	t.Helper()
	stillOpen := func() bool {
		var err error
		stable, err = admin.ListCommittedOffsets(ctx, topic)
		require.NoError(t, err)
		require.NoError(t, stable.Error())
		ends, err := admin.ListEndOffsets(ctx, topic)
		require.NoError(t, err)
		open := false
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(topic, o.Partition)
			open = open || s.Offset < o.Offset
		})
		return open
	}
	for deadline := time.Now().Add(2 * time.Second); stillOpen() && time.Now().Before(deadline); {
		<-time.After(20 * time.Millisecond)
	}
	return stable
}

func record(r *kgo.Record) sinktest.Record {
	out := sinktest.Record{Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Value: r.Value}
	for _, h := range r.Headers {
		if h.Key == cdc.PositionHeader {
			out.Position = h.Value
		}
	}
	return out
}
