package kafka

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
	"dirtbike/docker/embedded"
)

// limit sets how much a message of a topic may have.
func limit(t *testing.T, seeds []string, topic, bytes string) {
	t.Helper()
	answers, err := adminOf(t, seeds).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: messageBytes, Value: &bytes}}, topic)
	require.NoError(t, err)
	require.NoError(t, answers[0].Err)
	require.Eventually(t, func() bool { return settings(t, seeds, topic)[messageBytes] == bytes }, 10*time.Second, 5*time.Millisecond)
}

// TestNoRoomForMarks: nothing is written to a topic in which no transaction could end, in none of the ways in which a
// topic gets there, and other topics are written.
func TestNoRoomForMarks(t *testing.T) {
	noRoomForMarks(t, fakeCluster(t).ListenAddrs(), "clinic")
}

func noRoomForMarks(t *testing.T, seeds []string, prefix string) {
	t.Helper()
	topic, other := claims(prefix, 2), &cdc.Topic{Name: prefix + ".public.other", Partitions: 2}
	s := started(t, options(seeds, prefix), topic)
	for n, bytes := range []string{"1", "0", "77"} {
		ensureTopic(t, s, topic)
		ensureTopic(t, s, other)
		limit(t, seeds, topic.Name, bytes)
		_, err := s.Write(t.Context(), chunkOf(other, "o"+bytes, 3))
		require.NoError(t, err)
		_, err = s.Write(t.Context(), chunkOf(topic, "t"+bytes, 3))
		trouble := cdc.OfOneTable(err)
		require.NotNil(t, trouble, "%v", err)
		require.Equal(t, topic.Name, trouble.Topic)
		require.False(t, trouble.Shared)
		requireSetting(t, err, topic.Name, messageBytes)
		_, err = s.Recover(t.Context())
		require.NoError(t, err)
		_, err = s.EnsureTopic(t.Context(), topic)
		requireSetting(t, err, topic.Name, messageBytes)
		ensureTopic(t, s, other)
		_, err = s.Write(t.Context(), chunkOf(other, "again"+bytes, 3))
		require.NoError(t, err)
		_, err = s.Commit(t.Context(), sinktest.PointAt(cdc.LSN(10+n)))
		require.NoError(t, err)
		require.Len(t, readCommitted(t, seeds, other.Name), 3*(n+1))
		limit(t, seeds, topic.Name, "1048576")
	}
	require.Empty(t, readCommitted(t, seeds, topic.Name))
	_, err := s.Write(t.Context(), chunkOf(topic, "t", 3))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(20))
	require.NoError(t, err)
	require.Len(t, readCommitted(t, seeds, topic.Name), 3)
}

// transactionThatCannotEnd: a topic loses its room for marks while a transaction has records there. A takeover says
// which topic it is, and what to do; that is done, and it goes on.
func transactionThatCannotEnd(t *testing.T, broker *embedded.Kafka, prefix string) {
	t.Helper()
	seeds, topic := broker.Brokers(), claims(prefix, 2)
	o := options(seeds, prefix)
	o.fenceTime = 2 * time.Second
	s := started(t, o, topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "t", 3))
	require.NoError(t, err)
	require.NoError(t, s.flush())
	limit(t, seeds, topic.Name, "1")
	_, err = s.Recover(t.Context())
	require.Error(t, err)
	require.Nil(t, cdc.OfOneTable(err))
	require.NotErrorIs(t, err, cdc.ErrRefused, "it is tried again")
	problem := cdc.Explain(err)
	require.Len(t, problem.Try, 1, problem)
	way := regexp.MustCompile(`--entity-name (\S+) --add-config max.message.bytes=(\d+); then restart broker (\d+),`).FindStringSubmatch(problem.Try[0].Command)
	require.NotNil(t, way, problem)
	limit(t, seeds, way[1], way[2])
	require.NoError(t, broker.Kill())
	require.NoError(t, broker.Restart(t.Context()))
	require.Eventually(t, func() bool {
		_, err = s.Recover(t.Context())
		return err == nil
	}, 30*time.Second, 100*time.Millisecond, "%v", err)
	ensureTopic(t, s, topic)
	_, err = s.Write(t.Context(), chunkOf(topic, "t", 3))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.NoError(t, err)
	require.Len(t, readCommitted(t, seeds, topic.Name), 3)
}
