package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// settings are those of a topic by name.
func settings(t *testing.T, seeds []string, topic string) map[string]string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	require.NoError(t, err)
	defer client.Close()
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), topic)
	require.NoError(t, err)
	require.NoError(t, configs[0].Err)
	all := map[string]string{}
	for _, c := range configs[0].Configs {
		all[c.Key] = c.MaybeValue()
	}
	return all
}

func TestNewTopicsHaveTheirSettings(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	o := options(seeds, "clinic")
	o.ReplayHorizon = time.Hour
	s := started(t, o, claims("clinic", 2))
	ensureTopic(t, s, &cdc.Topic{Name: "clinic.public.sites", Partitions: 1, Compacted: true})
	for topic, want := range map[string]map[string]string{
		"clinic.public.claims":      {"cleanup.policy": "delete", "retention.ms": "3600000", "max.message.bytes": "1048576", "compression.type": "producer"},
		"clinic.public.sites":       {"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": "3600000", "max.message.bytes": "1048576"},
		"_dirtbike.clinic.state":    {"cleanup.policy": "compact", "segment.bytes": "8388608", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"},
		"_dirtbike.clinic.progress": {"cleanup.policy": "delete", "retention.ms": "3600000", "segment.bytes": "8388608"},
	} {
		require.Subset(t, settings(t, seeds, topic), want, topic)
	}
}

func TestExistingTopicsMustFit(t *testing.T) {
	for _, test := range []struct {
		name       string
		partitions int32
		settings   map[string]string
		compacted  bool
		want       string // the setting that does not fit, empty if all do
	}{
		{"as wanted", 2, map[string]string{"cleanup.policy": "delete"}, false, ""},
		{"other partition count", 3, nil, false, "partitions"},
		{"small messages", 2, map[string]string{"max.message.bytes": "1000"}, false, "max.message.bytes"},
		{"compacts what must not be", 2, map[string]string{"cleanup.policy": "compact"}, false, "cleanup.policy"},
		{"compacts and deletes", 2, map[string]string{"cleanup.policy": "compact,delete"}, false, "cleanup.policy"},
		{"not compacted although it could be", 2, map[string]string{"cleanup.policy": "delete"}, true, ""},
		{"compacts too early", 2, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "1", "delete.retention.ms": "3600000"}, true, "min.compaction.lag.ms"},
		{"compacts too early and forgets deletes", 2, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "1", "delete.retention.ms": "1"}, true, "min.compaction.lag.ms"},
		{"forgets deletes", 2, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": "1"}, true, "delete.retention.ms"},
		{"more replicas in sync than there are", 2, map[string]string{"min.insync.replicas": "4"}, false, "min.insync.replicas"},
		{"compacted as wanted", 2, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": "3600000"}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster, topic := fakeCluster(t), claims("clinic", 2)
			topic.Compacted = test.compacted
			if test.settings == nil {
				test.settings = map[string]string{}
			}
			if test.settings["max.message.bytes"] == "" {
				test.settings["max.message.bytes"] = "1048576"
			}
			require.NoError(t, cluster.CreateTopic(topic.Name, test.partitions, test.settings))
			o := options(cluster.ListenAddrs(), "clinic")
			o.ReplayHorizon = time.Hour
			s := newSink(t, o)
			_, err := s.Recover(t.Context())
			require.NoError(t, err)
			_, err = s.EnsureTopic(t.Context(), topic)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			requireSetting(t, err, topic.Name, test.want)
			_, err = s.Commit(t.Context(), sinktest.PointAt(1), sinktest.Source(cdc.PhaseStreaming))
			require.NoError(t, err, "the sink goes on: only this table is in question")
		})
	}
}

// TestCompactedTopicsThatDeleteToo: what goes by time or size although the topic is compacted is warned of.
func TestCompactedTopicsThatDeleteToo(t *testing.T) {
	a := &topicAdmin{options: &Options{ReplayHorizon: time.Hour, MaxMessageBytes: 1 << 20}, log: zap.NewNop()}
	compacted := claims("clinic", 2)
	compacted.Compacted = true
	for settings, want := range map[string]string{
		"cleanup.policy=compact,delete retention.ms=3599999":                  "retention.ms=3600000",
		"cleanup.policy=delete,compact retention.ms=0 retention.bytes=5":      "retention.ms=3600000",
		"cleanup.policy=compact,delete retention.ms=-1 retention.bytes=99999": "retention.bytes=-1",
		"cleanup.policy=compact,delete retention.ms=-1 retention.bytes=-1":    "",
		"cleanup.policy=compact,delete retention.ms=3600000":                  "",
		"cleanup.policy=compact retention.ms=1 retention.bytes=1":             "",
	} {
		var have []kadm.Config
		for _, setting := range strings.Fields(settings) {
			key, value, _ := strings.Cut(setting, "=")
			have = append(have, kadm.Config{Key: key, Value: &value})
		}
		err, got := a.checkTable(compacted, have), ""
		if wrong := (*WrongSetting)(nil); errors.As(err, &wrong) {
			require.True(t, wrong.Mild)
			got = wrong.Key + "=" + wrong.Wants
		}
		require.Equal(t, want, got, settings)
	}
}

// requireSetting requires that a topic was refused for a setting, or for its partitions.
func requireSetting(t *testing.T, err error, topic, key string) {
	t.Helper()
	command := "--entity-name " + topic + " --add-config " + key + "="
	if key == "partitions" {
		var partitions *WrongPartitions
		require.ErrorAs(t, err, &partitions)
		command = "delete"
	} else {
		var setting *WrongSetting
		require.ErrorAs(t, err, &setting)
		require.Equal(t, key, setting.Key)
	}
	require.Equal(t, "topic "+topic, requireRefused(t, err, command).Where)
}

// TestATopicThatKeepsLess: a topic that is made to keep records for less than load may be away is used, and said to be
// so once, with the way out, at a start and while capture runs.
func TestATopicThatKeepsLess(t *testing.T) {
	for key, value := range map[string]string{"retention.ms": "1000", "retention.bytes": "1000"} {
		t.Run(key, func(t *testing.T) {
			seeds, topic := fakeCluster(t).ListenAddrs(), claims("clinic", 2)
			core, lines := observer.New(zap.WarnLevel)
			o := options(seeds, "clinic")
			o.Log = zap.New(core)
			s := started(t, o, topic)
			alter := func(config kadm.AlterConfig) {
				t.Helper()
				answers, err := adminOf(t, seeds).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{config}, topic.Name)
				require.NoError(t, err)
				require.NoError(t, answers[0].Err)
			}
			alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
			lines.TakeAll()
			for range 2 {
				unfit, err := s.Unfit(t.Context(), []*cdc.Topic{topic})
				require.NoError(t, err)
				require.Empty(t, unfit)
			}
			require.Equal(t, 1, lines.Len(), "once")
			found, err := s.Inspect(t.Context(), []*cdc.Topic{topic})
			require.NoError(t, err)
			mildly := found[len(found)-1].Err
			require.True(t, mild(mildly))
			_, command, _ := strings.Cut(cdc.Explain(mildly).Try[0].Command, "--add-config ")
			_, wants, _ := strings.Cut(command, "=")
			created, err := s.EnsureTopic(t.Context(), topic)
			require.NoError(t, err)
			require.False(t, created)
			require.Equal(t, 1, lines.Len(), "whoever notices it")
			alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &wants})
			found, err = s.Inspect(t.Context(), []*cdc.Topic{topic})
			require.NoError(t, err)
			require.NoError(t, found[len(found)-1].Err)
		})
	}
}

func TestOwnTopicsMustFit(t *testing.T) {
	for _, test := range []struct {
		topic      string
		partitions int32
		policy     string
		want       string
	}{
		{"_dirtbike.clinic.state", 1, "delete", "cleanup.policy"},
		{"_dirtbike.clinic.progress", 1, "compact", "cleanup.policy"},
	} {
		cluster := fakeCluster(t)
		require.NoError(t, cluster.CreateTopic(test.topic, test.partitions, map[string]string{"cleanup.policy": test.policy}))
		_, err := newSink(t, options(cluster.ListenAddrs(), "clinic")).Recover(t.Context())
		requireSetting(t, err, test.topic, test.want)
	}
}

func TestMissingRightsAreNamed(t *testing.T) {
	cluster := fakeCluster(t)
	s := newSink(t, options(cluster.ListenAddrs(), "clinic"))
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.TransactionalIDAuthorizationFailed})
	_, err := s.Recover(t.Context())
	requireRefused(t, err, `grant Write and Describe on transactional id "dirtbike.clinic.slot"`)
	_, err = s.Recover(t.Context())
	require.NoError(t, err, "Recover may be called again")
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "clinic.public.claims", Err: kerr.TopicAuthorizationFailed})
	_, err = s.EnsureTopic(t.Context(), claims("clinic", 2))
	requireRefused(t, err, `grant Create on topic "clinic.public.claims"`)
	require.True(t, ensureTopic(t, s, claims("clinic", 2)), "it is granted now")
	_, err = s.Commit(t.Context(), sinktest.PointAt(1), sinktest.Source(cdc.PhaseStreaming))
	require.NoError(t, err)
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch} {
		denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: s.o.stateTopic(), Err: kerr.TopicAuthorizationFailed, Count: -1})
		_, err = s.Recover(t.Context())
		denied.Remove()
		requireRefused(t, err, s.o.stateTopic())
		require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
		_, err = s.Recover(t.Context())
		require.NoError(t, err)
	}
}

// What the brokers' policy forbids stays forbidden; a replication factor may only be too large while a broker is away.
func TestTopicThatCannotBeMade(t *testing.T) {
	cluster := fakeCluster(t)
	s := newSink(t, options(cluster.ListenAddrs(), "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	for code, refused := range map[*kerr.Error]bool{
		kerr.PolicyViolation: true, kerr.InvalidConfig: true, kerr.InvalidTopicException: true, kerr.InvalidReplicationFactor: false, kerr.TopicAlreadyExists: false,
	} {
		topic := claims("clinic."+code.Message, 2)
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: topic.Name, Err: code})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := s.EnsureTopic(ctx, topic)
		if !refused {
			require.Error(t, err)
			require.NotErrorIs(t, err, cdc.ErrRefused)
			continue
		}
		requireRefused(t, err, "create it yourself: kafka-topics.sh --create --topic "+topic.Name+" --partitions 2 ")
		require.ErrorIs(t, err, code)
		require.True(t, ensureTopic(t, s, topic), "the brokers allow it now")
	}
	topic := claims("clinic.still", 2)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: topic.Name, Err: kerr.PolicyViolation, Count: -1})
	_, err = s.EnsureTopic(t.Context(), topic)
	createYourself(t, err, func(name string, partitions int32, settings map[string]*string) error {
		all := map[string]string{}
		for key, value := range settings {
			all[key] = *value
		}
		return cluster.CreateTopic(name, partitions, all)
	})
	require.False(t, ensureTopic(t, s, topic), "it is there")
}

// createYourself does what the command of a refusal says.
func createYourself(t *testing.T, err error, create func(name string, partitions int32, settings map[string]*string) error) {
	t.Helper()
	ways := cdc.Explain(err).Try
	at := slices.IndexFunc(ways, func(way cdc.Remedy) bool { return strings.HasPrefix(way.Command, "create it yourself: ") })
	require.GreaterOrEqual(t, at, 0, "%v", err)
	words := strings.Fields(strings.TrimPrefix(ways[at].Command, "create it yourself: "))
	require.Equal(t, []string{"kafka-topics.sh", "--create", "--topic"}, words[:3])
	require.Equal(t, "--partitions", words[4])
	partitions, err := strconv.ParseInt(words[5], 10, 32)
	require.NoError(t, err)
	settings := map[string]*string{}
	for i := 6; i < len(words); i += 2 {
		require.Equal(t, "--config", words[i])
		key, value, _ := strings.Cut(words[i+1], "=")
		settings[key] = &value
	}
	require.NotEmpty(t, settings)
	require.NoError(t, create(words[3], int32(partitions), settings))
}

func TestTransactionTimeoutAboveTheBrokers(t *testing.T) {
	cluster := fakeCluster(t, kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "10000"}))
	_, err := newSink(t, options(cluster.ListenAddrs(), "clinic")).Recover(t.Context())
	require.Len(t, requireRefused(t, err, "lower kafka.transaction_timeout").Try, 2)
	lower := options(cluster.ListenAddrs(), "clinic")
	lower.TransactionTimeout = 10 * time.Second
	_, err = newSink(t, lower).Recover(t.Context())
	require.NoError(t, err)
	raised := fakeCluster(t, kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "30000"}))
	_, err = newSink(t, options(raised.ListenAddrs(), "clinic")).Recover(t.Context())
	require.NoError(t, err)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.ClusterAuthorizationFailed})
	_, err = newSink(t, options(cluster.ListenAddrs(), "clinic")).Recover(t.Context())
	requireRefused(t, err, "lower kafka.transaction_timeout")
	require.ErrorIs(t, err, kerr.InvalidTransactionTimeout)
}

func TestPartitionCountOfThePipeline(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	o := options(seeds, "clinic")
	started(t, o, claims("clinic", 3)) // its source says 3
	o.Partitions = 6
	_, err := newSink(t, o).Recover(t.Context())
	ways := requireRefused(t, err, "set it back to 3").Try
	_, err = fmt.Sscanf(ways[0].Command, "set it back to %d", &o.Partitions)
	require.NoError(t, err)
	_, err = newSink(t, o).Recover(t.Context())
	require.NoError(t, err)

	require.Equal(t, "delete the pipeline's topics (dirtbike explain pipeline-topics), then "+cdc.ResnapshotAllCommand, ways[1].Command)
	o.Partitions, o.Anew = 6, true
	s := newSink(t, o)
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.EnsureTopic(t.Context(), claims("clinic", 6))
	require.ErrorAs(t, err, new(*WrongPartitions), "a new copy alone does not help: the topics are as they were")
	require.NoError(t, s.Close(t.Context()))
	_, err = adminOf(t, seeds).DeleteTopics(t.Context(), "clinic.public.claims", s.o.stateTopic(), s.o.progressTopic(), s.o.controlTopic())
	require.NoError(t, err)
	s = newSink(t, o)
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
	require.True(t, ensureTopic(t, s, claims("clinic", 6)))
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no prefix":           func(o *Options) { o.Prefix = "" },
		"no transactional id": func(o *Options) { o.TransactionalID = "" },
		"negative":            func(o *Options) { o.ReplayHorizon = -1 },
		"unknown compression": func(o *Options) { o.Compression = "brotli" },
		"no room for records": func(o *Options) { o.MaxMessageBytes = 100 },
	} {
		o := options(nil, "clinic")
		change(&o)
		_, err := New(o)
		require.Error(t, err, name)
		for _, way := range cdc.Explain(err).Try {
			for one := range strings.FieldsFuncSeq(strings.ReplaceAll(way.Command, " or ", ","), func(r rune) bool { return r == ',' || r == ' ' }) {
				o.Compression = one
				s, err := New(o)
				require.NoError(t, err, one)
				require.NoError(t, s.Close(t.Context()))
			}
		}
	}
}

// TestClientOptionsThatAreWrong: Recover says which section, and the same sink's options, corrected, are taken.
func TestClientOptionsThatAreWrong(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	_, err := newSink(t, options([]string{"127.0.0.1:none"}, "clinic")).Recover(t.Context())
	requireRefused(t, err, "correct the kafka section")
	_, err = newSink(t, options(seeds, "clinic")).Recover(t.Context())
	require.NoError(t, err)
}

// TestSettingsThatCannotBeSeen: without the right the log says which one is missing, and with it no more.
func TestSettingsThatCannotBeSeen(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	_, o, admin := guarded(t)
	topic := claims("clinic", 2)
	require.NoError(t, started(t, o, topic).Close(t.Context()))
	o.Log = zap.New(core)
	denied := kadm.NewACLs().Deny("User:dirtbike").DenyHosts().ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpDescribeConfigs).Topics(topic.Name)
	requireACLs(t, admin, denied)
	for _, said := range []int{1, 0} {
		if said == 0 {
			_, err := admin.DeleteACLs(t.Context(), denied)
			require.NoError(t, err)
		}
		s := newSink(t, o)
		_, err := s.Recover(t.Context())
		require.NoError(t, err)
		require.False(t, ensureTopic(t, s, topic))
		lines := logs.FilterField(zap.String("topic", topic.Name)).All()
		require.Len(t, lines, said)
		for _, line := range lines {
			require.Equal(t, []cdc.Remedy{{Command: "grant DescribeConfigs"}}, cdc.ParseProblem(line.Message).Try)
		}
		logs.TakeAll()
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	topic, o := claims("clinic", 2), options(fakeCluster(t).ListenAddrs(), "clinic")
	o.Metrics = registry
	s := started(t, o, topic)
	_, err := New(o)
	require.Error(t, err, "two sinks cannot share a registry")
	c := chunkOf(topic, "a", 7)
	_, err = s.Write(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, testutil.ToFloat64(s.metrics.records), "accepted is not committed")
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.NoError(t, err)
	require.EqualValues(t, 7, testutil.ToFloat64(s.metrics.records))
	require.EqualValues(t, len(c.Bytes), testutil.ToFloat64(s.metrics.bytes))
	require.EqualValues(t, 2, testutil.ToFloat64(s.metrics.commits))
	require.Zero(t, testutil.ToFloat64(s.metrics.buffered))

	o.Metrics = nil
	_, err = newSink(t, o).Recover(t.Context())
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.ErrorIs(t, err, cdc.ErrFenced)
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.fenced))
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.errors))

	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 7)
	require.NoError(t, s.Close(t.Context()))
	again, err := New(Options{Prefix: "x", TransactionalID: "y", Metrics: registry})
	require.NoError(t, err, "Close unregisters")
	require.NoError(t, errors.Join(again.Close(t.Context())))
}

// TestUnfit: what has changed since a topic was made, or that it is gone, while the sink is used.
func TestUnfit(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	gone, fits := &cdc.Topic{Name: "clinic.public.gone", Partitions: 2}, &cdc.Topic{Name: "clinic.public.fits", Partitions: 2}
	ensureTopic(t, s, fits)
	all := []*cdc.Topic{topic, gone, fits}
	found, err := s.Unfit(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, map[string]error{gone.Name: cdc.ErrNoTopic}, found)
	admin := adminOf(t, cluster.ListenAddrs())
	_, err = admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, topic.Name)
	require.NoError(t, err)
	_, err = admin.CreatePartitions(t.Context(), 1, fits.Name)
	require.NoError(t, err)
	found, err = s.Unfit(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, found, 3)
	for name, key := range map[string]string{topic.Name: "cleanup.policy", fits.Name: ""} {
		trouble := cdc.OfOneTable(found[name])
		require.NotNil(t, trouble, name)
		require.Equal(t, name, trouble.Topic)
		require.NotEmpty(t, cdc.Explain(trouble).Try, name)
		if key != "" {
			requireSetting(t, trouble, name, key)
		}
	}
}

// TestAddedPartitionsOfOwnTopics: partitions that somebody has made, or adds, to our own topics change nothing.
func TestAddedPartitionsOfOwnTopics(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 2)
	require.NoError(t, cluster.CreateTopic("_dirtbike.clinic.state", 2, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "4194304"}))
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	own := []string{s.o.stateTopic(), s.o.progressTopic(), s.o.controlTopic()}
	answers, err := adminOf(t, cluster.ListenAddrs()).CreatePartitions(t.Context(), 2, own...)
	require.NoError(t, err)
	require.NoError(t, answers.Error())
	for range 2 {
		_, err = s.Write(t.Context(), controlChunk(topic, 0, "x01"))
		require.NoError(t, err)
		_, err = s.Commit(t.Context(), sinktest.PointAt(2))
		require.NoError(t, err)
		s = newSink(t, s.o)
		state, err := s.Recover(t.Context())
		require.NoError(t, err)
		require.Equal(t, sinktest.PointAt(2), state.Point)
		ensureTopic(t, s, topic)
	}
	log, err := s.Controls(t.Context(), 0, true)
	require.NoError(t, err)
	require.Len(t, log.Records, 2)
	requireTruth(t, cluster.ListenAddrs(), []*cdc.Topic{topic})
	found, err := s.Inspect(t.Context(), nil)
	require.NoError(t, err)
	for _, f := range found {
		require.NoError(t, f.Err, f.Topic)
	}
}
