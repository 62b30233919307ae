package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"dirtbike/cdc"
)

func adminOf(t *testing.T, seeds []string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// TestInspectSaysWhatAStartWould and makes nothing.
func TestInspectSaysWhatAStartWould(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	admin := adminOf(t, seeds)
	create := func(topic string, partitions int32, settings map[string]*string) {
		_, err := admin.CreateTopic(t.Context(), partitions, 1, settings, topic)
		require.NoError(t, err)
	}
	create("clinic.public.small", 2, map[string]*string{"max.message.bytes": kadm.StringPtr("1000")})
	create("clinic.public.compacted", 2, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "max.message.bytes": kadm.StringPtr("2000000")})
	create("clinic.public.wide", 7, nil)
	create("_dirtbike.clinic.progress", 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
	before, err := admin.ListTopicsWithInternal(t.Context())
	require.NoError(t, err)

	s := newSink(t, options(seeds, "clinic"))
	var topics []*cdc.Topic
	for _, name := range []string{"new", "small", "compacted", "wide"} {
		topics = append(topics, &cdc.Topic{Name: "clinic.public." + name, Partitions: 2})
	}
	found, err := s.Inspect(t.Context(), topics)
	require.NoError(t, err)
	require.Len(t, found, 7)
	byName := map[string]Inspected{}
	for _, f := range found {
		byName[f.Topic] = f
	}
	require.Equal(t, Inspected{Topic: "clinic.public.new"}, byName["clinic.public.new"])
	require.Equal(t, Inspected{Topic: "_dirtbike.clinic.state"}, byName["_dirtbike.clinic.state"])
	for topic, want := range map[string]WrongSetting{
		"clinic.public.small":       {Key: "max.message.bytes", Wants: "1048576"},
		"clinic.public.compacted":   {Key: "cleanup.policy", Wants: "delete"},
		"_dirtbike.clinic.progress": {Key: "cleanup.policy", Wants: "delete"},
	} {
		var setting *WrongSetting
		require.ErrorAs(t, byName[topic].Err, &setting, topic)
		require.ErrorIs(t, setting, cdc.ErrRefused)
		require.Equal(t, []string{topic, want.Key, want.Wants}, []string{setting.Topic, setting.Key, setting.Wants})
	}
	var partitions *WrongPartitions
	require.ErrorAs(t, byName["clinic.public.wide"].Err, &partitions)
	require.Equal(t, 7, partitions.Have)
	require.ErrorIs(t, partitions, cdc.ErrRefused)

	after, err := admin.ListTopicsWithInternal(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Names(), after.Names())
	require.NoError(t, s.Close(t.Context()))
	_, err = s.Inspect(t.Context(), nil)
	require.ErrorIs(t, err, errClosed)
}

// TestInspectNamesRights: what may not be seen or made is refused, topic by topic.
func TestInspectNamesRights(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "weak", "secret"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	o := options(cluster.ListenAddrs(), "clinic")
	o.Client = append(o.Client, kgo.SASL(plain.Auth{User: "weak", Pass: "secret"}.AsMechanism()))
	found, err := newSink(t, o).Inspect(t.Context(), []*cdc.Topic{{Name: "clinic.public.claims", Partitions: 1}})
	require.NoError(t, err)
	for _, f := range found {
		require.ErrorIs(t, f.Err, cdc.ErrRefused, f.Topic)
		requireRefused(t, f.Err, "grant ")
	}
	o = options([]string{"127.0.0.1:1"}, "clinic")
	o.Client = append(o.Client, kgo.RetryTimeout(100*time.Millisecond))
	_, err = newSink(t, o).Inspect(t.Context(), nil)
	require.Error(t, err)
	require.NotErrorIs(t, err, cdc.ErrRefused)
}
