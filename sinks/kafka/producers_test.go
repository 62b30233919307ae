package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// TestProducers: whoever has committed to the state topic counts, also an older build that declared nothing; what was
// written outside of a transaction, or was aborted, does not.
func TestProducers(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	s := newSink(t, options(seeds, "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	mine, _, err := s.client.Load().ProducerID(t.Context())
	require.NoError(t, err)
	ids, err := s.Producers(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{mine}, ids)

	record := func() *kgo.Record {
		return &kgo.Record{Topic: s.o.stateTopic(), Key: []byte(keyOwner), Value: []byte(`{"format":2}`)}
	}
	write := func(transactional string, end kgo.TransactionEndTry) int64 {
		opts := []kgo.Opt{kgo.SeedBrokers(seeds...)}
		if transactional != "" {
			opts = append(opts, kgo.TransactionalID(transactional))
		}
		client, err := kgo.NewClient(opts...)
		require.NoError(t, err)
		defer client.Close()
		if transactional != "" {
			require.NoError(t, client.BeginTransaction())
		}
		require.NoError(t, client.ProduceSync(t.Context(), record()).FirstErr())
		if transactional != "" {
			require.NoError(t, client.EndTransaction(t.Context(), end))
		}
		id, _, err := client.ProducerID(t.Context())
		require.NoError(t, err)
		return id
	}
	write("", false)
	write("aborted", kgo.TryAbort)
	older := write("older build", kgo.TryCommit)
	ids, err = s.Producers(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []int64{mine, older}, ids)
}

// TestDeclaredAgain: under another id, as Kafka gives it when the epochs of one are used up, the next commit declares
// it.
func TestDeclaredAgain(t *testing.T) {
	s := newSink(t, options(fakeCluster(t).ListenAddrs(), "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	before := s.owner.last.Load()
	_, err = s.Commit(t.Context(), cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 1}, Reported: 1})
	require.NoError(t, err)
	require.EqualValues(t, before+2, s.owner.last.Load(), "a marker and the point")
	s.owner.declared = s.owner.declared + 1 // as if that had been the id
	_, err = s.Commit(t.Context(), cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 2}, Reported: 2})
	require.NoError(t, err)
	require.EqualValues(t, before+5, s.owner.last.Load(), "a marker, the point and the declaration")
	require.Equal(t, s.owner.producer.Load(), s.owner.declared)
	declared := s.o.declaration(s.owner.declared)
	require.NoError(t, foldState(&cdc.State{}, declared.Key, declared.Value), "the state with declarations can be read")
}

// forge writes records as another writer does, in a transaction of its own or in none.
func forge(t *testing.T, client *kgo.Client, transactional bool, records ...*kgo.Record) error {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(client.OptValue(kgo.SeedBrokers).([]string)...)}
	if transactional {
		opts = append(opts, kgo.TransactionalID("forged"))
	}
	forger, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	defer forger.Close()
	if transactional {
		require.NoError(t, forger.BeginTransaction())
	}
	if err := forger.ProduceSync(t.Context(), records...).FirstErr(); err != nil || !transactional {
		return err
	}
	return forger.EndTransaction(t.Context(), kgo.TryCommit)
}

// TestForgedOwnRecords: what others write to the state and progress topics outside of transactions changes nothing, and
// neither does a transaction in the progress topic by a producer that the state topic does not know.
func TestForgedOwnRecords(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	o := options(cluster.ListenAddrs(), "clinic")
	s := started(t, o, topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 5))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3), sinktest.Table("claims", topic.Name))
	require.NoError(t, err)
	before, err := s.Peek(t.Context())
	require.NoError(t, err)
	offsetsBefore := known(s.ledger)

	ahead := sinktest.PointAt(1000)
	progress := []byte(`{"format":1,"epoch":1,"commit_lsn":"0/FFFF","ordinal":1,"lsn":"0/FFFF","time_us":1,"full":true,"offsets":{"clinic.public.claims":{"0":9999}},"tables":{}}`)
	for _, key := range []string{keySource, keyPoint, keyOwner, tablePrefix + "public.claims", "nonsense"} {
		for _, value := range [][]byte{[]byte("{"), []byte(`{"format":1}`), encodePoint(ahead), nil} {
			require.NoError(t, forge(t, s.client.Load(), false, &kgo.Record{Topic: s.o.stateTopic(), Key: []byte(key), Value: value}))
		}
	}
	for _, transactional := range []bool{false, true} {
		for _, value := range [][]byte{progress, []byte(`{"format":9}`), nil} {
			require.NoError(t, forge(t, s.client.Load(), transactional, &kgo.Record{Topic: s.o.progressTopic(), Value: value}))
		}
	}
	after, err := s.Peek(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, err = s.Commit(t.Context(), sinktest.PointAt(4))
	require.NoError(t, err, "it is not fenced by a forged claim")
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, sinktest.PointAt(4), state.Point)
	require.Equal(t, offsetsBefore, known(s.ledger))
}

// TestRecoverWithOneTroubledTopic: within a split transaction the ends of all topics are read; a topic where that fails
// is its table's trouble, and the others go on.
func TestRecoverWithOneTroubledTopic(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	o := options(cluster.ListenAddrs(), "clinic")
	o.TransactionTimeout = time.Second
	other := &cdc.Topic{Name: "clinic.public.other", Partitions: 2}
	s := started(t, o, topic)
	require.True(t, ensureTopic(t, s, other))
	part := sinktest.PointAt(2)
	part.Partial = true
	for _, of := range []*cdc.Topic{topic, other} {
		_, err := s.Write(t.Context(), chunkOf(of, "a", 5))
		require.NoError(t, err)
	}
	_, err := s.Commit(t.Context(), part, sinktest.Table("claims", topic.Name), sinktest.Table("other", other.Name))
	require.NoError(t, err)
	cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		request := r.(*kmsg.ListOffsetsRequest)
		if len(request.Topics) != 1 || request.Topics[0].Topic != other.Name {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		of := kmsg.NewListOffsetsResponseTopic()
		of.Topic = other.Name
		for _, p := range request.Topics[0].Partitions {
			one := kmsg.NewListOffsetsResponseTopicPartition()
			one.Partition, one.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
			of.Partitions = append(of.Partitions, one)
		}
		response.Topics = append(response.Topics, of)
		return response, nil, true
	})
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, part, state.Point)
	require.False(t, ensureTopic(t, s, topic))
	_, err = s.EnsureTopic(t.Context(), other)
	trouble := cdc.OfOneTable(err)
	require.NotNil(t, trouble, "%v", err)
	require.Equal(t, other.Name, trouble.Topic)
	_, err = s.Write(t.Context(), chunkOf(topic, "b", 4))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err, "the others go on")
}
