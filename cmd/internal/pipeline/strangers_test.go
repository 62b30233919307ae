package pipeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/sinks/clickhouse/consume"
)

// TestStrangersInTheGroup: somebody's consumer in the loaders' group is named, and no more once it has left.
func TestStrangersInTheGroup(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "clinic.public.t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	c, err := config.Parse("a.yaml", fmt.Appendf(nil, `source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: [%q], prefix: clinic}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000", database: clinic}
`, cluster.ListenAddrs()[0]))
	require.NoError(t, err)
	h, err := NewHealth(c)
	require.NoError(t, err)
	defer h.Close()
	join := func(id string) *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ClientID(id), kgo.ConsumerGroup(Group(c)), kgo.ConsumeTopics("clinic.public.t"))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	join(consume.ClientID)
	require.NoError(t, h.Strangers(t.Context()))
	stray := join("console-consumer\nof somebody")
	require.Eventually(t, func() bool { return h.Strangers(t.Context()) != nil }, 20*time.Second, 50*time.Millisecond)
	said := cdc.Explain(h.Strangers(t.Context()))
	require.Contains(t, said.What, "console-consumer")
	kept := cdc.Explain(h.Load(func() string { return "stay in the consumer group: INCONSISTENT_GROUP_PROTOCOL" }).Func(t.Context())) // as seen by a loader that it keeps out
	require.Contains(t, kept.What, "console-consumer")
	require.Equal(t, said.Try, kept.Try)
	require.NotContains(t, said.Error(), "\n", "whatever it calls itself")
	require.Equal(t, "stop that client, or give it a group of its own", said.Try[0].Command)
	stray.Close() // the way out
	require.Eventually(t, func() bool { return h.Strangers(t.Context()) == nil }, 20*time.Second, 50*time.Millisecond)
}
