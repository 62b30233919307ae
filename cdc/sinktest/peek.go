package sinktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

func peek(t *testing.T, s cdc.Sink) *cdc.State {
	t.Helper()
	state, err := s.Peek(t.Context())
	require.NoError(t, err)
	return state
}

func peekOnNothing(t *testing.T, p Pipeline) {
	s := p.Sink(t, nil)
	for range 2 { // the first Peek has made no topic
		require.Nil(t, peek(t, s))
	}
	_, err := s.Commit(t.Context(), PointAt(1))
	require.Error(t, err, "it is no Recover")
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, state, peek(t, s), "a topic without a record is no state")
	require.NoError(t, s.Close(t.Context()))
	_, err = s.Peek(t.Context())
	require.Error(t, err)
}

func peekSeesWhatRecoverGives(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s := ready(t, p, topic)
	table := Table("claims", topic.Name)
	for lsn := range cdc.LSN(5) {
		table.Rows = int64(lsn)
		write(t, s, filled(topic, "a", 10))
		commit(t, s, PointAt(10+lsn), table)
		require.Equal(t, PointAt(10+lsn), peek(t, p.Sink(t, nil)).Point, "at once, by another process")
	}
	require.NoError(t, s.Close(t.Context()))
	other := p.Sink(t, nil)
	before := peek(t, other)
	state, err := other.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, state, before)
	require.Equal(t, state, peek(t, other), "and afterwards")
	require.Equal(t, map[string]cdc.TableState{"public.claims": table}, withoutTopicIDs(state.Tables))
}

func peekSeesNothingUncommitted(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s := ready(t, p, topic)
	for _, end := range []func() error{
		func() error { return s.Close(t.Context()) },
		func() error { _, err := p.Sink(t, nil).Recover(t.Context()); return err },
	} {
		s, _ = open(t, p, nil)
		write(t, s, filled(topic, "open", 50))
		p.WriteState(t, s, PointAt(7), Source(cdc.PhaseCopying))
		began := time.Now()
		require.Equal(t, PointAt(1), peek(t, p.Sink(t, nil)).Point)
		require.Less(t, time.Since(began), 10*time.Second, "the transaction may never end")
		require.NoError(t, end())
		state := peek(t, p.Sink(t, nil))
		require.Equal(t, PointAt(1), state.Point)
		require.Equal(t, cdc.PhaseStreaming, state.Source.Phase)
	}
}

func peekFencesNobody(t *testing.T, p Pipeline) {
	topic := p.Topic("claims", 3, false)
	s := ready(t, p, topic)
	write(t, s, filled(topic, "a", 10))
	other := p.Sink(t, nil)
	require.Equal(t, PointAt(1), peek(t, other).Point)
	write(t, s, filled(topic, "b", 10))
	commit(t, s, PointAt(2))
	require.Equal(t, PointAt(2), peek(t, other).Point)
	require.NoError(t, other.Close(t.Context()))
	write(t, s, filled(topic, "c", 10))
	require.Equal(t, PointAt(2), peek(t, s).Point, "its own transaction stays open")
	commit(t, s, PointAt(3))
	require.Len(t, p.Read(t, topic.Name), 30)
}

// withoutTopicIDs gives the states without what the sink adds to them.
func withoutTopicIDs(tables map[string]cdc.TableState) map[string]cdc.TableState {
	out := map[string]cdc.TableState{}
	for name, table := range tables {
		table.TopicID = ""
		out[name] = table
	}
	return out
}
