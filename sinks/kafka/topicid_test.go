package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// TestAnotherTopicOfTheSameName: somebody deletes a table's topic and makes another of the same name and partition
// count. It counts as made by the sink until the state says that the table is copied into it, through failures and
// restarts, and also where the sink did not run meanwhile; the other topics stay as they are.
func TestAnotherTopicOfTheSameName(t *testing.T) {
	seeds, topic := fakeCluster(t).ListenAddrs(), claims("clinic", 2)
	rests := &cdc.Topic{Name: "clinic.public.rests", Partitions: 2}
	s := started(t, options(seeds, "clinic"), topic)
	ensureTopic(t, s, rests)
	state := func(topic *cdc.Topic) cdc.TableState {
		return sinktest.Table(topic.Name[len("clinic.public."):], topic.Name)
	}
	commit := func(lsn cdc.LSN, changed ...cdc.StateChange) {
		t.Helper()
		_, err := s.Commit(t.Context(), sinktest.PointAt(lsn), changed...)
		require.NoError(t, err)
	}
	commit(2, state(rests))
	replace := func() {
		t.Helper()
		deleted, err := adminOf(t, seeds).DeleteTopic(t.Context(), topic.Name)
		require.NoError(t, err)
		require.NoError(t, deleted.Err)
		made, err := adminOf(t, seeds).CreateTopic(t.Context(), 2, 1, nil, topic.Name)
		require.NoError(t, err)
		require.NoError(t, made.Err)
	}
	recovered := func() {
		t.Helper()
		_, err := s.Recover(t.Context())
		require.NoError(t, err)
	}
	others := func(want error) {
		t.Helper()
		found, err := s.Unfit(t.Context(), []*cdc.Topic{topic, rests})
		require.NoError(t, err)
		require.NoError(t, found[rests.Name])
		require.ErrorIs(t, found[topic.Name], want)
	}
	for _, restart := range []bool{false, true} {
		others(nil)
		_, err := s.Write(t.Context(), chunkOf(topic, "former", 5))
		require.NoError(t, err)
		commit(3)
		if restart {
			replace()
			s = newSink(t, s.o)
		} else {
			others(nil)
			replace()
			others(cdc.ErrNoTopic)
		}
		for range 2 { // the second time after a session that has not come to say so
			recovered()
			require.True(t, ensureTopic(t, s, topic))
			require.False(t, ensureTopic(t, s, rests))
			others(nil)
		}
		require.NotContains(t, s.ledger.topics[topic.Name].next, int64(5), "offsets of the former topic")
		commit(4, state(topic))
		require.False(t, ensureTopic(t, s, topic))
		recovered()
		require.False(t, ensureTopic(t, s, topic))
	}
}
