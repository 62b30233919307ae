package sinktest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

func recoverOnNothing(t *testing.T, p Pipeline) {
	s := p.Sink(t, nil)
	_, err := s.Commit(t.Context(), PointAt(1))
	require.Error(t, err, "Recover comes first")
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, cdc.PhaseNone, state.Source.Phase)
	require.Zero(t, state.Point)
	require.Empty(t, state.Tables)
}

func committedIsRecovered(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s, _ := open(t, p, nil)
	ensureTopic(t, s, topic)
	table := Table("claims", topic.Name)
	commit(t, s, PointAt(10), Source(cdc.PhaseCopying), table)
	write(t, s, filled(topic, "a", 100))
	table.Phase, table.Rows = cdc.TableStreaming, 100
	commit(t, s, PointAt(20), table, Source(cdc.PhaseStreaming))
	require.Len(t, p.Read(t, topic.Name), 100)
	for range 2 { // by another process, then by the same sink again
		var state *cdc.State
		s, state = open(t, p, nil)
		require.Equal(t, Source(cdc.PhaseStreaming), state.Source)
		require.Equal(t, PointAt(20), state.Point)
		require.Equal(t, map[string]cdc.TableState{"public.claims": table}, withoutTopicIDs(state.Tables))
		again, err := s.Recover(t.Context())
		require.NoError(t, err)
		require.Equal(t, state, again)
	}
	write(t, s, filled(topic, "b", 10))
	commit(t, s, PointAt(30))
	require.Len(t, p.Read(t, topic.Name), 110)
}

func uncommittedIsNotSeen(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s := ready(t, p, topic)
	write(t, s, filled(topic, "open", 50))
	require.Empty(t, p.Read(t, topic.Name))
	require.NoError(t, s.Close(t.Context()))
	require.Empty(t, p.Read(t, topic.Name))

	s, state := open(t, p, nil)
	require.Equal(t, PointAt(1), state.Point)
	write(t, s, filled(topic, "dead", 50))
	s, state = open(t, p, nil) // as after a kill: the one before was not closed
	require.Equal(t, PointAt(1), state.Point)
	require.Empty(t, p.Read(t, topic.Name))
	write(t, s, filled(topic, "good", 5))
	commit(t, s, PointAt(2))
	require.Len(t, p.Read(t, topic.Name), 5)
}

func newerFences(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	old := ready(t, p, topic)
	write(t, old, filled(topic, "old", 10))
	young, _ := open(t, p, nil)

	_, err := old.Write(t.Context(), filled(topic, "late", 10))
	if err == nil {
		_, err = old.Commit(t.Context(), PointAt(2))
	}
	require.ErrorIs(t, err, cdc.ErrFenced)
	_, err = old.Commit(t.Context(), PointAt(3))
	require.ErrorIs(t, err, cdc.ErrFenced, "it stays fenced")
	_, err = old.Write(t.Context(), filled(topic, "late", 10))
	require.ErrorIs(t, err, cdc.ErrFenced)
	require.NoError(t, old.Close(t.Context()))

	write(t, young, filled(topic, "young", 4))
	commit(t, young, PointAt(4))
	require.Len(t, p.Read(t, topic.Name), 4)
}

func idleIsFenced(t *testing.T, p Pipeline) {
	old := ready(t, p, p.Topic("claims", 1, false))
	commit(t, old, PointAt(2))
	young, state := open(t, p, nil)
	require.Equal(t, PointAt(2), state.Point)
	_, err := old.Commit(t.Context(), PointAt(3))
	require.ErrorIs(t, err, cdc.ErrFenced)
	commit(t, young, PointAt(3))
}

func splitTransaction(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s := ready(t, p, topic)
	part := cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 100, Ordinal: 51}, Partial: true, Reported: 9, Time: 5}
	write(t, s, filled(topic, "part1", 50))
	commit(t, s, part)
	s, state := open(t, p, nil)
	require.Equal(t, part, state.Point)
	require.Len(t, p.Read(t, topic.Name), 50, "a part is visible")
	write(t, s, filled(topic, "part2", 10))
	commit(t, s, PointAt(100))
	_, state = open(t, p, nil)
	require.Equal(t, PointAt(100), state.Point)
	require.Len(t, p.Read(t, topic.Name), 60)
}

func orderHolds(t *testing.T, p Pipeline) {
	topics := []*cdc.Topic{p.Topic("claims", 3, false), p.Topic("visits", 2, false)}
	s := ready(t, p, topics[0])
	ensureTopic(t, s, topics[1])
	const commits, chunks, each = 3, 4, 250
	for i := range commits {
		for j := range chunks {
			c := &cdc.Chunk{}
			for k := range 4 { // topics take turns within a chunk
				Fill(c, topics[k%2], fmt.Sprintf("%02d-%02d-%d", i, j, k), each/4)
			}
			write(t, s, c)
		}
		commit(t, s, PointAt(cdc.LSN(10*(i+1))))
	}
	for _, topic := range topics {
		keys := make([][]string, topic.Partitions)
		for _, r := range p.Read(t, topic.Name) {
			keys[r.Partition] = append(keys[r.Partition], r.Key)
			require.Equal(t, "value of "+r.Key, string(r.Value))
		}
		total := 0
		for partition := range keys {
			require.True(t, slices.IsSorted(keys[partition]), "topic %s partition %d", topic.Name, partition)
			total += len(keys[partition])
		}
		require.Equal(t, commits*chunks*2*(each/4), total)
	}
}

func idleCommit(t *testing.T, p Pipeline) {
	s := ready(t, p, p.Topic("claims", 1, false))
	for lsn := cdc.LSN(10); lsn < 15; lsn++ {
		commit(t, s, PointAt(lsn))
	}
	_, state := open(t, p, nil)
	require.Equal(t, PointAt(14), state.Point)
}

func tombstones(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 1, true)
	s := ready(t, p, topic)
	c := filled(topic, "a", 1)
	for i := range 3 {
		at := len(c.Bytes)
		c.Bytes = append(c.Bytes, "gone"...)
		c.Records = append(c.Records, cdc.Record{
			Topic: topic, Tombstone: true, Key: at, Value: len(c.Bytes), End: len(c.Bytes),
			Position: cdc.Position{Epoch: 2, CommitLSN: 5, Ordinal: uint32(i)},
		})
	}
	write(t, s, c)
	commit(t, s, PointAt(2))
	got := p.Read(t, topic.Name)
	require.Len(t, got, 4)
	require.NotNil(t, got[0].Value)
	require.Nil(t, got[0].Position)
	for i, r := range got[1:] {
		require.Nil(t, r.Value)
		position, err := cdc.UnpackPosition(r.Position)
		require.NoError(t, err)
		require.Equal(t, cdc.Position{Epoch: 2, CommitLSN: 5, Ordinal: uint32(i)}, position)
	}
}

func chunksComeBack(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	back := map[*cdc.Chunk]int{}
	s, _ := open(t, p, func(c *cdc.Chunk) { back[c]++ })
	ensureTopic(t, s, topic)
	given := map[*cdc.Chunk]int{}
	for i := range 5 {
		c := filled(topic, fmt.Sprint(i), 20)
		given[c] = 1
		write(t, s, c)
	}
	commit(t, s, PointAt(2), Source(cdc.PhaseStreaming))
	require.Equal(t, given, back, "each once, by the end of Commit")

	c := filled(topic, "aborted", 20)
	given[c] = 1
	write(t, s, c)
	require.NoError(t, s.Close(t.Context()))
	require.Equal(t, given, back, "each once, by the end of Close")
}

func largeChunk(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s := ready(t, p, topic)
	c := &cdc.Chunk{}
	for i := range 40 { // more than the client's buffer, so that Write has to block
		at := len(c.Bytes)
		c.Bytes = fmt.Appendf(c.Bytes, "k%02d", i)
		r := cdc.Record{Topic: topic, Partition: int32(i % 3), Key: at, Value: len(c.Bytes)}
		for j := range 100_000 {
			c.Bytes = append(c.Bytes, byte(j*7), byte(i), byte(j>>8), byte(j>>3))
		}
		r.End = len(c.Bytes)
		c.Records = append(c.Records, r)
	}
	write(t, s, c)
	commit(t, s, PointAt(2))
	got := p.Read(t, topic.Name)
	require.Len(t, got, 40)
	for _, r := range got {
		require.Len(t, r.Value, 400_000)
	}
}

func closedRefuses(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 1, false)
	s := ready(t, p, topic)
	require.NoError(t, s.Close(t.Context()))
	_, err := s.Write(t.Context(), filled(topic, "a", 1))
	require.Error(t, err)
	_, err = s.Commit(t.Context(), PointAt(2))
	require.Error(t, err)
	_, err = s.Recover(t.Context())
	require.Error(t, err)
	require.NoError(t, s.Close(t.Context()), "twice does no harm")
}
