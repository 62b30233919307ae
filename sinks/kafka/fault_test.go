package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// ensureTopic makes the topic, or finds it as wanted.
func ensureTopic(t testing.TB, s *Sink, topic *cdc.Topic) (created bool) {
	t.Helper()
	created, err := s.EnsureTopic(t.Context(), topic)
	require.NoError(t, err)
	return created
}

// started is a sink that has recovered, made the topic and committed a source at point 1.
func started(t *testing.T, o Options, topic *cdc.Topic) *Sink {
	t.Helper()
	s := newSink(t, o)
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	ensureTopic(t, s, topic)
	_, err = s.Commit(t.Context(), sinktest.PointAt(1), sinktest.Source(cdc.PhaseStreaming), sinktest.Table("claims", topic.Name))
	require.NoError(t, err)
	return s
}

func claims(prefix string, partitions int32) *cdc.Topic {
	return &cdc.Topic{Name: prefix + ".public.claims", Partitions: partitions}
}

func chunkOf(topic *cdc.Topic, name string, n int) *cdc.Chunk {
	c := &cdc.Chunk{}
	sinktest.Fill(c, topic, name, n)
	return c
}

func TestUnknownOutcomeOnKfake(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	unknownOutcome(t, seeds, "clinic")
	answerLostOnce(t, seeds, "once")
}

// unknownOutcome: the end of a transaction whose answer never comes is not assumed; Recover finds out.
func unknownOutcome(t *testing.T, seeds []string, prefix string) {
	t.Helper()
	for i, test := range []struct {
		name      string
		cut       func(*cutter)
		committed bool
	}{
		{"the answer is lost", func(c *cutter) { c.answers.Store(1 << 30) }, true},
		{"the request is lost", func(c *cutter) { c.requests.Store(1 << 30) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var cut cutter
			prefix := fmt.Sprint(prefix, i)
			topic, o := claims(prefix, 2), options(seeds, prefix)
			o.Client = append(o.Client, cut.option())
			s := started(t, o, topic)
			_, err := s.Write(t.Context(), chunkOf(topic, "a", 20))
			require.NoError(t, err)
			test.cut(&cut)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			durable, err := s.Commit(ctx, sinktest.PointAt(2))
			require.ErrorIs(t, err, errUnknownOutcome)
			require.NotErrorIs(t, err, cdc.ErrFenced)
			require.NotErrorIs(t, err, cdc.ErrRefused)
			require.Zero(t, durable)
			_, err = s.Write(t.Context(), chunkOf(topic, "b", 1))
			require.ErrorIs(t, err, errRecoverFirst)

			cut.answers.Store(0)
			cut.requests.Store(0)
			state, err := s.Recover(t.Context())
			require.NoError(t, err)
			want, records := sinktest.PointAt(1), 0
			if test.committed {
				want, records = sinktest.PointAt(2), 20
			}
			require.Equal(t, want, state.Point)
			require.Len(t, readCommitted(t, seeds, topic.Name), records)
		})
	}
}

// answerLostOnce: the client asks again, and the records are there once.
func answerLostOnce(t *testing.T, seeds []string, prefix string) {
	t.Helper()
	var cut cutter
	topic, o := claims(prefix, 2), options(seeds, prefix)
	o.Client = append(o.Client, cut.option())
	s := started(t, o, topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 20))
	require.NoError(t, err)
	cut.answers.Store(1)
	if _, err = s.Commit(t.Context(), sinktest.PointAt(2)); err != nil { // a broker may refuse the second asking
		require.NotErrorIs(t, err, cdc.ErrFenced)
		state, err := s.Recover(t.Context())
		require.NoError(t, err)
		require.Equal(t, sinktest.PointAt(2), state.Point)
	}
	require.Len(t, readCommitted(t, seeds, topic.Name), 20)
}

func TestBrokerRestartedInsideATransactionOnKfake(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	cluster := fakeCluster(t, kfake.DataDir(dir), kfake.Ports(port))
	restartInsideTransaction(t, cluster.ListenAddrs(), "clinic", func() {
		cluster.Close()
		cluster = fakeCluster(t, kfake.DataDir(dir), kfake.Ports(port))
	})
}

// restartInsideTransaction: whether the client survives the restart or not, what Recover says is what readers see.
func restartInsideTransaction(t *testing.T, seeds []string, prefix string, restart func()) {
	t.Helper()
	topic := claims(prefix, 2)
	s := started(t, options(seeds, prefix), topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 20))
	require.NoError(t, err)
	restart()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = s.Write(ctx, chunkOf(topic, "b", 20))
	if err == nil {
		_, err = s.Commit(ctx, sinktest.PointAt(2))
	}
	require.NotErrorIs(t, err, cdc.ErrRefused)
	if err == nil {
		require.Len(t, readCommitted(t, seeds, topic.Name), 40, "durable")
	}
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	want := map[cdc.LSN]int{1: 0, 2: 40}[state.Point.Position.CommitLSN]
	require.Len(t, readCommitted(t, seeds, topic.Name), want)
	_, err = s.Write(t.Context(), chunkOf(topic, "c", 5))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
	require.Len(t, readCommitted(t, seeds, topic.Name), want+5)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return n
}

// The named points are where they say.
func TestFaultPoints(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	var seen []string
	var visible []int
	o := options(cluster.ListenAddrs(), "clinic")
	o.Fault = func(point string) {
		seen = append(seen, point)
		visible = append(visible, len(readCommitted(t, cluster.ListenAddrs(), topic.Name)))
	}
	s := newSink(t, o)
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	ensureTopic(t, s, topic)
	for range 2 {
		_, err = s.Write(t.Context(), chunkOf(topic, "a", 3))
		require.NoError(t, err)
	}
	_, err = s.Commit(t.Context(), sinktest.PointAt(2), sinktest.Source(cdc.PhaseStreaming))
	require.NoError(t, err)
	require.Equal(t, []string{cdc.FaultInTxn, cdc.FaultAfterProduce, cdc.FaultAfterCommit}, seen)
	require.Equal(t, []int{0, 0, 6}, visible)
}

// A record that Kafka refuses stops the transaction, and the error says where.
func TestRefusedRecordIsNamed(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Name, Partitions: []int32{1}, Err: kerr.InvalidRecord})
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 20))
	if err == nil {
		_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	}
	require.ErrorIs(t, err, kerr.InvalidRecord)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	requireFailedAt(t, err, topic.Name, 1)
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, sinktest.PointAt(1), state.Point)
	require.Empty(t, readCommitted(t, cluster.ListenAddrs(), topic.Name))
}

// A Write that is blocked by a full buffer ends with its context.
func TestBlockedWriteEndsWithItsContext(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	o.MaxMessageBytes, o.BufferBytes = 4096, 4096
	s := started(t, o, topic)
	var healed atomic.Bool
	blocked := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if healed.Load() {
			return nil, nil, false
		}
		cluster.KeepControl()
		select {
		case blocked <- struct{}{}:
		default:
		}
		return nil, errors.New("cut"), true
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-blocked
		cancel()
	}()
	_, err := s.Write(ctx, chunkOf(topic, "a", 1000))
	require.ErrorIs(t, err, context.Canceled)
	healed.Store(true)
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
}

func TestRecordTooLargeTakesNothing(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	o.MaxMessageBytes = 2000
	s := started(t, o, topic)
	for size, fits := range map[int]bool{2000 - recordOverhead: true, 2000 - recordOverhead + 1: false} {
		c := chunkOf(topic, "small", 1)
		at := len(c.Bytes)
		c.Bytes = append(c.Bytes, make([]byte, size)...)
		c.Records = append(c.Records, cdc.Record{Topic: topic, Key: at, Value: at + 10, End: at + size})
		_, err := s.Write(t.Context(), c)
		if fits {
			require.NoError(t, err)
			continue
		}
		var tooLarge *RecordTooLarge
		require.ErrorAs(t, err, &tooLarge)
		require.ErrorIs(t, err, cdc.ErrRefused, "a caller that does not quarantine the table stops")
		require.Equal(t, &RecordTooLarge{Topic: topic.Name, Bytes: size, Limit: 2000 - recordOverhead}, tooLarge)
		require.Equal(t, []cdc.Remedy{{Command: "raise kafka.max_message_bytes, and run what dirtbike check then prints for the topics"}}, cdc.Explain(err).Try)
	}
	_, err := s.Commit(t.Context(), sinktest.PointAt(2))
	require.NoError(t, err, "the sink goes on")
	require.Len(t, readCommitted(t, cluster.ListenAddrs(), topic.Name), 2)

	o.MaxMessageBytes = 3000 // the way out: raise it, and what check then prints for the topic
	raised := newSink(t, o)
	_, err = raised.Recover(t.Context())
	require.NoError(t, err)
	_, err = raised.EnsureTopic(t.Context(), topic)
	takeSetting(t, adminOf(t, cluster.ListenAddrs()), err)
	require.False(t, ensureTopic(t, raised, topic))
	c := &cdc.Chunk{Bytes: make([]byte, 2000)}
	c.Records = []cdc.Record{{Topic: topic, Value: 10, End: 2000}}
	_, err = raised.Write(t.Context(), c)
	require.NoError(t, err)
	_, err = raised.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
}

// takeSetting runs the command for a topic's setting that an error prints.
func takeSetting(t *testing.T, admin *kadm.Client, err error) {
	t.Helper()
	var wrong *WrongSetting
	require.ErrorAs(t, err, &wrong)
	command := cdc.Explain(wrong).Try[0].Command
	words := strings.Fields(command)
	require.Equal(t, []string{"kafka-configs.sh", "--alter", "--entity-type", "topics", "--entity-name", wrong.Topic, "--add-config"}, words[:7])
	key, value, _ := strings.Cut(words[7], "=")
	results, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, words[5])
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
}

// A transaction that was left open for too long is over, which is no fencing: Recover goes on.
func TestTransactionOpenForTooLong(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	o.TransactionTimeout = time.Second
	s := started(t, o, topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 5))
	require.NoError(t, err)
	<-s.txn.ctx.Done()
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.ErrorIs(t, err, errTimedOut)
	require.NotErrorIs(t, err, cdc.ErrFenced)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	require.Contains(t, cdc.Explain(err).Remedies(), cdc.Remedy{Command: "raise kafka.transaction_timeout"})
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
	require.Empty(t, readCommitted(t, cluster.ListenAddrs(), topic.Name))

	longer := fakeCluster(t).ListenAddrs()
	s = started(t, options(longer, "clinic"), topic)
	_, err = s.Write(t.Context(), chunkOf(topic, "a", 5))
	require.NoError(t, err)
	select { // as long as the former one
	case <-s.txn.ctx.Done():
		require.Fail(t, "the transaction is over")
	case <-time.After(1100 * time.Millisecond):
	}
	_, err = s.Commit(t.Context(), sinktest.PointAt(4))
	require.NoError(t, err)
	require.Len(t, readCommitted(t, longer, topic.Name), 5)
}

// A transaction that somebody else has left open on one of our topics is waited for, and named; once what writes it has
// ended it, a start goes on.
func TestSomebodysTransactionOnAnOwnTopic(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	require.NoError(t, started(t, o, topic).Close(t.Context()))
	o.TransactionTimeout, o.openGrace = time.Second, 500*time.Millisecond
	other, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("somebody"), kgo.TransactionTimeout(time.Minute))
	require.NoError(t, err)
	defer other.Close()
	s := newSink(t, o)
	require.NoError(t, other.BeginTransaction())
	require.NoError(t, other.ProduceSync(t.Context(), &kgo.Record{Topic: s.o.progressTopic(), Value: []byte("{}")}).FirstErr())
	_, err = s.Recover(t.Context())
	require.ErrorIs(t, err, errLeftOpen)
	require.Contains(t, cdc.Explain(err).Remedies(), cdc.Remedy{Command: "kafka-transactions.sh find-hanging, and stop what else writes to it"})
	require.NoError(t, other.EndTransaction(t.Context(), kgo.TryAbort))
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
}

// A part of a split transaction whose topic is gone at the restart: capture looks after its topics, Recover goes on.
func TestRecoverWithATopicDeleted(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 5))
	require.NoError(t, err)
	part := sinktest.PointAt(2)
	part.Partial = true
	_, err = s.Commit(t.Context(), part)
	require.NoError(t, err)
	require.NoError(t, cluster.DeleteTopic(topic.Name))
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, part, state.Point)
	require.Empty(t, known(s.ledger))
	require.True(t, ensureTopic(t, s, topic))
	_, err = s.Write(t.Context(), chunkOf(topic, "b", 4))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
	require.Equal(t, offsets{topic.Name: {"0": 2, "1": 2}}, known(s.ledger))
}

// Seven brokers, so that a topic gets three copies and survives one of them.
func TestReplicationOfNewTopics(t *testing.T) {
	seeds := fakeCluster(t, kfake.NumBrokers(7)).ListenAddrs()
	s := started(t, options(seeds, "clinic"), claims("clinic", 2))
	for _, topic := range []string{"clinic.public.claims", s.o.stateTopic(), s.o.progressTopic()} {
		detail, err := s.topics.describe(t.Context(), topic)
		require.NoError(t, err)
		require.Len(t, detail.Partitions[0].Replicas, 3)
		require.Equal(t, "2", settings(t, seeds, topic)["min.insync.replicas"])
	}
}

// TestAHangingBrokerHoldsUpNoEnd: a process that is to end gives up its commit at once, and closes within 3 seconds.
func TestAHangingBrokerHoldsUpNoEnd(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	goOn := make(chan struct{})
	cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		<-goOn
		return nil, nil, false
	})
	began := time.Now()
	ctx, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	_, err := s.Write(ctx, chunkOf(topic, "a", 20))
	if err == nil {
		_, err = s.Commit(ctx, sinktest.PointAt(2))
	}
	require.Error(t, err)
	require.Error(t, s.Close(ctx), "nobody knows whether the transaction is aborted")
	require.Less(t, time.Since(began), 4*time.Second)
	close(goOn)
}
