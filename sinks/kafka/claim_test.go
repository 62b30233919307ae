package kafka

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// The error of the one that is taken over from names the other one.
func TestTakenOverNamesTheOther(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	old := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	other := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	_, err := old.Commit(t.Context(), sinktest.PointAt(2))
	require.ErrorIs(t, err, cdc.ErrFenced)
	var by *takenOver
	require.ErrorAs(t, err, &by)
	host, hostErr := os.Hostname()
	require.NoError(t, hostErr)
	require.Equal(t, []any{os.Getpid(), host}, []any{by.by.Process, by.by.Host})

	require.Equal(t, []cdc.Remedy{{Command: "stop one of the two captures"}, {Command: "give this one a slot and prefix of its own"}}, cdc.Explain(err).Try)
	own := started(t, options(cluster.ListenAddrs(), "own"), claims("own", 1))
	for _, s := range []*Sink{other, own} {
		_, err = s.Commit(t.Context(), sinktest.PointAt(2))
		require.NoError(t, err)
	}
	require.NoError(t, other.Close(t.Context()))
	_, err = old.Recover(t.Context())
	require.NoError(t, err)
	_, err = old.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
}

// The broker refuses the producer, and no other capture has claimed the pipeline: it is no fencing, and Recover goes
// on.
func TestRefusedByTheBrokerAlone(t *testing.T) {
	t.Parallel()
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	s := started(t, o, topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "lost", 5))
	require.NoError(t, err)
	require.NoError(t, s.client.Load().Flush(t.Context()))
	bumpEpoch(t, o)
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.ErrorIs(t, err, errEnded)
	require.NotErrorIs(t, err, cdc.ErrFenced)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	goesOn(t, s, topic, cluster.ListenAddrs())
}

// bumpEpoch ends the producer's transaction without taking over.
func bumpEpoch(t *testing.T, o Options) {
	t.Helper()
	other, err := kgo.NewClient(append(o.Client, kgo.TransactionalID(o.TransactionalID))...)
	require.NoError(t, err)
	defer other.Close()
	_, _, err = other.ProducerID(t.Context())
	require.NoError(t, err)
}

func goesOn(t *testing.T, s *Sink, topic *cdc.Topic, seeds []string) {
	t.Helper()
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, sinktest.PointAt(1), state.Point)
	_, err = s.Write(t.Context(), chunkOf(topic, "good", 3))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
	require.Len(t, readCommitted(t, seeds, topic.Name), 3)
}

// endedByTheCoordinator: a process was stopped for so long that the coordinator has ended its transaction before its
// own clock did.
func endedByTheCoordinator(t *testing.T, seeds []string, prefix string) {
	t.Helper()
	topic, o := claims(prefix, 1), options(seeds, prefix)
	o.TransactionTimeout = time.Second
	s := started(t, o, topic)
	s.o.TransactionTimeout = time.Minute // so that only the coordinator ends it
	_, err := s.Write(t.Context(), chunkOf(topic, "late", 5))
	require.NoError(t, err)
	require.NoError(t, s.client.Load().Flush(t.Context()))
	require.Eventually(t, func() bool {
		stable, err := s.topics.adm.ListCommittedOffsets(t.Context(), topic.Name)
		require.NoError(t, err)
		return stable[topic.Name][0].Offset > 5 // the records and the marker of their end
	}, 30*time.Second, 100*time.Millisecond)
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.ErrorIs(t, err, errEnded)
	require.NotErrorIs(t, err, cdc.ErrFenced)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	goesOn(t, s, topic, seeds)
}
