package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// TestEveryCodeHasAnOwner: what may pass by itself, and what the producer or the cluster says, is no table's; a code
// that is not known is the topic's, unless all have it.
func TestEveryCodeHasAnOwner(t *testing.T) {
	o := unconnected(t).o
	const topic = "clinic.public.claims"
	for code := int16(-1); code < 200; code++ {
		var err *kerr.Error
		if !errors.As(kerr.ErrorForCode(code), &err) {
			continue
		}
		trouble := cdc.OfOneTable(o.blame(topic, o.explain("commit", &produceError{topic, 0, err})))
		own, known := owners[err]
		switch {
		case known && own == ofCluster, !known && err.Retriable, isFenced(err):
			require.Nil(t, trouble, err.Message)
		default:
			require.NotNil(t, trouble, err.Message)
			require.Equal(t, topic, trouble.Topic)
			require.Equal(t, !known || own == perhaps, trouble.Shared, err.Message)
		}
		require.Nil(t, cdc.OfOneTable(o.blame(o.stateTopic(), err)), "our own topics are the pipeline's")
	}
	for _, err := range []error{io.EOF, context.DeadlineExceeded, errTimedOut, fmt.Errorf("%w (%w)", kerr.MessageTooLarge, kerr.OperationNotAttempted)} {
		require.Nil(t, cdc.OfOneTable(o.blame(topic, err)), "%v", err)
	}
}

// TestUnfitTopicIsItsTables: made beforehand by somebody, or changed later; what the problem says puts it right.
func TestUnfitTopicIsItsTables(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	require.NoError(t, cluster.CreateTopic(topic.Name, 3, map[string]string{"max.message.bytes": "1048576"}))
	s := newSink(t, options(cluster.ListenAddrs(), "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.EnsureTopic(t.Context(), topic)
	require.Equal(t, topic.Name, cdc.OfOneTable(err).Topic)
	requireRefused(t, err, "kafka-topics.sh --delete --topic "+topic.Name)
	_, err = s.topics.adm.DeleteTopic(t.Context(), topic.Name)
	require.NoError(t, err)
	require.True(t, ensureTopic(t, s, topic))

	set := func(value string) {
		_, err := s.topics.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: kadm.StringPtr(value)}}, topic.Name)
		require.NoError(t, err)
	}
	set("compact")
	_, err = s.EnsureTopic(t.Context(), topic)
	require.Equal(t, topic.Name, cdc.OfOneTable(err).Topic)
	requireRefused(t, err, "cleanup.policy=delete")
	set("delete")
	require.False(t, ensureTopic(t, s, topic))
	_, err = s.Commit(t.Context(), sinktest.PointAt(1), sinktest.Source(cdc.PhaseStreaming))
	require.NoError(t, err)
}

// TestDeletedTopicIsItsTables: the error names the topic, soon, and Recover and EnsureTopic go on with a new one.
func TestDeletedTopicIsItsTables(t *testing.T) {
	cluster, topic := fakeCluster(t, kfake.NumBrokers(1)), claims("clinic", 2)
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	_, err := s.Write(t.Context(), chunkOf(topic, "a", 20))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.NoError(t, err)
	_, err = s.topics.adm.DeleteTopic(t.Context(), topic.Name)
	require.NoError(t, err)
	began := time.Now()
	_, err = s.Write(t.Context(), chunkOf(topic, "b", 20))
	if err == nil {
		_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	}
	require.Error(t, err)
	trouble := cdc.OfOneTable(err)
	require.NotNil(t, trouble, "%v", err)
	require.Equal(t, topic.Name, trouble.Topic)
	require.Less(t, time.Since(began), 20*time.Second)
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
	require.True(t, ensureTopic(t, s, topic))
	_, err = s.Write(t.Context(), chunkOf(topic, "c", 20))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
}
