package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
)

// deletesFromCompacted: records of a compacted topic are deleted, too, and its settings are as they were.
func deletesFromCompacted(t *testing.T, seeds []string) {
	const topic = "purged.compacted"
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "retention.ms": kadm.StringPtr("123456789")}, topic)
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Key: []byte("k"), Value: []byte("v")}).FirstErr())
	}
	require.NoError(t, DeleteBefore(t.Context(), admin, topic, map[int32]int64{0: 7}))
	starts, err := admin.ListStartOffsets(t.Context(), topic)
	require.NoError(t, err)
	start, _ := starts.Lookup(topic, 0)
	require.Equal(t, int64(7), start.Offset)
	require.Equal(t, map[string]string{"cleanup.policy": "compact", "retention.ms": "123456789"}, ownSettings(t, admin, topic))
}

// ownSettings are those that the topic does not have from the broker.
func ownSettings(t *testing.T, admin *kadm.Client, topic string) map[string]string {
	t.Helper()
	configs, err := admin.DescribeTopicConfigs(t.Context(), topic)
	require.NoError(t, err)
	own := map[string]string{}
	for _, c := range configs[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			own[c.Key] = c.MaybeValue()
		}
	}
	return own
}

// TestMayNotAlter: who may not change a topic's settings gets the commands for somebody who may.
func TestMayNotAlter(t *testing.T) {
	said := cdc.Explain(mayNotAlter("p.public.t", "Nothing was deleted", kerr.TopicAuthorizationFailed))
	require.Len(t, said.Try, 2)
	for _, s := range deletable {
		require.Contains(t, said.Try[1].Command, s[0])
	}
}
