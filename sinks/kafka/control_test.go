package kafka

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
	"dirtbike/schemas"
)

// controlChunk has rows by their partitions, and before each 'x' a control.
func controlChunk(topic *cdc.Topic, number uint32, partitions string) *cdc.Chunk {
	c := cdc.NewChunk(1024, nil)
	for _, p := range partitions {
		if p == 'x' {
			number++
			c.Controls = append(c.Controls, cdc.Control{
				Kind: cdc.ControlTruncate, Topic: topic, Schema: "public", Table: "claims", Generation: 4, Number: number, Leaf: number,
				Position: cdc.Position{Epoch: 1, CommitLSN: 0x10, Ordinal: number}, XID: 7, CommitTime: 77, ValueSchema: 12, After: len(c.Records),
			})
			continue
		}
		r := cdc.Record{Topic: topic, Partition: p - '0', Key: len(c.Bytes)}
		c.Bytes = append(c.Bytes, "key"...)
		r.Value = len(c.Bytes)
		c.Bytes = append(c.Bytes, "value"...)
		r.End = len(c.Bytes)
		c.Records = append(c.Records, r)
	}
	return c
}

func mustRecover(t *testing.T, s *Sink) {
	t.Helper()
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
}

// TestControls: a control record is written with the transaction of the rows around it, and names its place between
// them in every partition, over chunks, transactions, an abort and a takeover.
func TestControls(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	s := newSink(t, options(seeds, "clinic"))
	topic := claims("clinic", 3)
	mustRecover(t, s)
	ensureTopic(t, s, topic)
	write := func(c *cdc.Chunk) {
		t.Helper()
		_, err := s.Write(t.Context(), c)
		require.NoError(t, err)
	}
	commit := func() {
		t.Helper()
		table := sinktest.Table("claims", topic.Name)
		table.Controls = 1
		_, err := s.Commit(t.Context(), cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 0x10}}, sinktest.Source(cdc.PhaseStreaming), table)
		require.NoError(t, err)
	}
	places := func() (out []map[int32]int64) {
		t.Helper()
		log, err := s.Controls(t.Context(), 0, true)
		require.NoError(t, err)
		for _, r := range log.Records {
			out = append(out, r.Offsets)
		}
		return out
	}
	require.Empty(t, places())
	write(controlChunk(topic, 0, "x001x2x"))
	write(controlChunk(topic, 3, "x0x"))
	commit()
	want := []map[int32]int64{{0: 0, 1: 0, 2: 0}, {0: 2, 1: 1, 2: 0}, {0: 2, 1: 1, 2: 1}, {0: 2, 1: 1, 2: 1}, {0: 3, 1: 1, 2: 1}}
	require.Equal(t, want, places())
	log, err := s.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	first := log.Records[0]
	require.Equal(t, cdc.ControlSequence(4, 1), first.Sequence())
	require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: 0x10, Ordinal: 1}, first.Position())
	topics, err := s.topics.adm.ListTopics(t.Context(), topic.Name)
	require.NoError(t, err)
	require.Equal(t, uuid.UUID(topics[topic.Name].ID).String(), first.TopicID)

	write(controlChunk(topic, 5, "0x")) // lost with its transaction
	mustRecover(t, s)
	ensureTopic(t, s, topic)
	require.Equal(t, want, places())
	write(controlChunk(topic, 5, "x"))
	commit() // a transaction of a control alone: after the last committed records, whatever was aborted behind them
	want = append(want, map[int32]int64{0: 3, 1: 1, 2: 1})
	require.Equal(t, want, places())

	// the log now begins after a transaction's own marker: a generation that is opened there lacks none of its rows
	ends, err := s.topics.adm.ListEndOffsets(t.Context(), topic.Name)
	require.NoError(t, err)
	_, err = s.topics.adm.DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)
	mustRecover(t, s)
	ensureTopic(t, s, topic)
	write(controlChunk(topic, 6, "x"))
	commit()
	begins := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { begins[o.Partition] = o.Offset })
	require.Greater(t, begins[0], int64(3))
	want = append(want, begins)
	require.Equal(t, want, places())

	s.atOnce = 2
	pieces, next := 0, int64(0)
	for more := true; more; pieces++ {
		log, err := s.Controls(t.Context(), next, true)
		require.NoError(t, err)
		require.LessOrEqual(t, len(log.Records), 2)
		next, more = log.Next, log.More
	}
	require.GreaterOrEqual(t, pieces, len(want)/2)
	s.atOnce = controlsAtOnce
	foreign, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.TransactionalID("foreign"))
	require.NoError(t, err)
	defer foreign.Close()
	require.NoError(t, foreign.BeginTransaction())
	require.NoError(t, foreign.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.ControlTopic("clinic"), Key: []byte("k"), Value: []byte("forged")}).FirstErr())
	require.NoError(t, foreign.EndTransaction(t.Context(), kgo.TryCommit))
	require.Equal(t, want, places(), "what others write does not count")
	log, err = s.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	require.Equal(t, 1, log.Foreign)
	log, err = s.Controls(t.Context(), log.Next, false)
	require.NoError(t, err)
	require.Empty(t, log.Records)

	_, err = s.topics.adm.DeleteTopics(t.Context(), schemas.ControlTopic("clinic"))
	require.NoError(t, err)
	for range 2 { // the second time Recover has made it again
		_, err = s.Peek(t.Context())
		requireRefused(t, err, cdc.ResnapshotAllCommand)
		_, err = s.Recover(t.Context())
		requireRefused(t, err, cdc.ResnapshotAllCommand)
	}
	o := options(seeds, "clinic")
	o.Anew = true
	mustRecover(t, newSink(t, o))
}

// TestTakeoverWithAControl: another capture takes over when all of a transaction is written, a control record and rows,
// and it is not ended. Nothing of it is visible, and what the other one writes has its place among its own rows.
func TestTakeoverWithAControl(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	topic, o := claims("clinic", 2), options(seeds, "clinic")
	var next *Sink
	takeOver := false
	o.Fault = func(point string) {
		if point == cdc.FaultAfterProduce && takeOver {
			takeOver = false
			next = newSink(t, options(seeds, "clinic"))
			mustRecover(t, next)
		}
	}
	s := newSink(t, o)
	mustRecover(t, s)
	ensureTopic(t, s, topic)
	commit := func(s *Sink, lsn cdc.LSN, number uint32, c *cdc.Chunk) error {
		t.Helper()
		_, err := s.Write(t.Context(), c)
		require.NoError(t, err)
		table := sinktest.Table("claims", topic.Name)
		table.Controls = number
		_, err = s.Commit(t.Context(), sinktest.PointAt(lsn), sinktest.Source(cdc.PhaseStreaming), table)
		return err
	}
	require.NoError(t, commit(s, 1, 1, controlChunk(topic, 0, "x00")))
	takeOver = true
	require.ErrorIs(t, commit(s, 2, 2, controlChunk(topic, 1, "0x1")), cdc.ErrFenced)
	log, err := next.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	require.False(t, log.Open)
	require.Len(t, log.Records, 1)
	state, err := next.Peek(t.Context())
	require.NoError(t, err)
	require.Equal(t, sinktest.PointAt(1), state.Point)
	require.EqualValues(t, 1, state.Tables["public.claims"].Controls)

	ensureTopic(t, next, topic)
	require.NoError(t, commit(next, 2, 2, controlChunk(topic, 1, "0x1")))
	log, err = next.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	require.Len(t, log.Records, 2)
	rows := map[int32][]int64{}
	for _, r := range readCommitted(t, seeds, topic.Name) {
		rows[r.Partition] = append(rows[r.Partition], r.Offset)
	}
	require.Len(t, rows[0], 3)
	require.Len(t, rows[1], 1)
	require.Equal(t, rows[0][2]+1, log.Records[1].Offsets[0], "after the row before it")
	require.LessOrEqual(t, log.Records[1].Offsets[1], rows[1][0], "before the row after it")
	requireTruth(t, seeds, []*cdc.Topic{topic})
}

// TestControlsLeftOpen: a transaction that stays open on the control topic is said, and not waited for.
func TestControlsLeftOpen(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	s := started(t, options(seeds, "clinic"), claims("clinic", 1))
	other, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.TransactionalID("other"))
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.BeginTransaction())
	require.NoError(t, other.ProduceSync(t.Context(), &kgo.Record{Topic: s.o.controlTopic(), Key: []byte("k"), Value: []byte("v")}).FirstErr())
	for _, settled := range []bool{false, true} {
		log, err := s.Controls(t.Context(), 0, settled)
		require.NoError(t, err)
		require.True(t, log.Open)
		require.Zero(t, log.Next)
	}
	require.NoError(t, other.EndTransaction(t.Context(), kgo.TryAbort))
	log, err := s.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	require.False(t, log.Open)
}
