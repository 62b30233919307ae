package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"dirtbike/cdc"
	"dirtbike/sinks/kafka"
)

// TestPurgeNeedsARight: without Delete nothing is deleted, and once it is granted what is below goes.
func TestPurgeNeedsARight(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"), kfake.User("PLAIN", "dirtbike", "secret"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	as := func(user, password string) *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	const topic = "clinic.public.people"
	root := as("root", "root")
	admin := kadm.NewClient(root)
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)
	require.NoError(t, root.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("former")}, &kgo.Record{Topic: topic, Value: []byte("present")}).FirstErr())
	may := func(operations ...kadm.ACLOperation) {
		_, err := admin.CreateACLs(t.Context(), kadm.NewACLs().Allow("User:dirtbike").AllowHosts().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(operations...))
		require.NoError(t, err)
	}
	may(kadm.OpDescribe, kadm.OpRead)
	purge := func() error {
		return kafka.DeleteBefore(t.Context(), kadm.NewClient(as("dirtbike", "secret")), topic, map[int32]int64{0: 1})
	}
	err = purge()
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "grant it Delete on the topic"}}, cdc.Explain(err).Try)
	first := func() int64 {
		starts, err := admin.ListStartOffsets(t.Context(), topic)
		require.NoError(t, err)
		return starts[topic][0].Offset
	}
	require.Zero(t, first())
	may(kadm.OpDelete)
	require.NoError(t, purge())
	require.EqualValues(t, 1, first())
}
