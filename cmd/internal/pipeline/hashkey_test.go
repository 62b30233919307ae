package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"
)

const hashed = "{mode: open, columns: {public.t: {name: hash}}}"

// hashing is a config of which only Kafka answers.
func hashing(t *testing.T, broker, privacy string) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(fmt.Sprintf(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: [%q]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
privacy: %s`, broker, privacy)))
	require.NoError(t, err)
	return c
}

// TestVerifyMakesNoHashKey: another key than capture's would make every hash look different.
func TestVerifyMakesNoHashKey(t *testing.T) {
	c := hashing(t, "127.0.0.1:1", hashed)
	_, err := Verify(t.Context(), c, zap.NewNop(), nil, func(string, int64) {}, nil)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Contains(t, cdc.Explain(err).What, c.HashKeyFile())
	require.NotEmpty(t, cdc.Explain(err).Try)
	require.NoFileExists(t, c.HashKeyFile())
	_, _, err = ExistingPolicies(hashing(t, "127.0.0.1:1", "{mode: open}"))
	require.NoError(t, err, "nothing is hashed")
}

// store commits a state as capture does.
func store(t *testing.T, c *config.Config, prints map[string]string) {
	t.Helper()
	sink, err := newSink(Options{Config: c, Log: zap.NewNop()})
	require.NoError(t, err)
	_, err = sink.Recover(t.Context())
	require.NoError(t, err)
	_, err = sink.Commit(t.Context(), cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 1}, Reported: 1},
		cdc.SourceState{Format: cdc.StateFormat, Phase: cdc.PhaseStreaming, Epoch: 1, Partitions: int32(c.Kafka.Partitions), HashKeys: prints})
	require.NoError(t, err)
	require.NoError(t, sink.Close(t.Context()))
}

// TestAnotherHashKeyIsRefused: the fingerprints of the topics are in the stored state.
func TestAnotherHashKeyIsRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	broker := cluster.ListenAddrs()[0]
	c := hashing(t, broker, hashed)
	_, prints, err := policies(c, zap.NewNop())
	require.NoError(t, err)
	check := func(c *config.Config) error {
		state, err := storedState(t.Context(), c, zap.NewNop())
		require.NoError(t, err)
		return checkFingerprints(c, prints, state)
	}
	require.NoError(t, check(c), "no capture has begun")
	store(t, c, map[string]string{"k0": "old", "k1": prints["k1"]})
	require.NoError(t, check(c))

	store(t, c, map[string]string{"k1": "another"})
	err = check(c)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "copy " + c.HashKeyFile() + " from where capture runs"}}, cdc.Explain(err).Try)
	require.Contains(t, cdc.Explain(err).What, "fingerprint another, here "+prints["k1"])
	own := hashing(t, broker, `{mode: open, columns: {public.t: {name: hash}}, hash: {keys: {k1: "tq7Vx2Lm9ZrB4wKp"}}}`)
	require.Contains(t, cdc.Explain(check(own)).Try[0].Command, "privacy.hash.keys")
	require.NoFileExists(t, own.HashKeyFile())
}

// TestAKafkaThatIsAwayEndsTheVerbs: without the state it is not known which history ClickHouse was filled from.
func TestAKafkaThatIsAwayEndsTheVerbs(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	c := hashing(t, "127.0.0.1:1", "{mode: open}")
	_, err := storedState(t.Context(), c, zap.New(core))
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Contains(t, cdc.Explain(err).Try[0].Command, "kafka.brokers")
	began := time.Now()
	said := make(chan string, 10)
	err = Wait(t.Context(), c, zap.New(core), 7*time.Second, func(line string) { said <- line })
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Contains(t, cdc.Explain(err).Try[0].Command, "kafka.brokers")
	require.Less(t, time.Since(began), 10*time.Second)
	require.Len(t, said, 3, "each part that is away, once")
	ways := map[string]bool{}
	for range 3 {
		ways[cdc.ParseProblem(<-said).Try[0].Command] = true
	}
	require.True(t, ways["look at the brokers named in kafka.brokers"] && ways[tryPostgres] && ways[tryClickHouse], "%v", ways)
	require.Zero(t, logged.Len())
}

// denyOffsets makes a cluster refuse to list offsets until that is granted.
func denyOffsets(cluster *kfake.Cluster) *atomic.Bool {
	granted := new(atomic.Bool)
	cluster.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if granted.Load() {
			return nil, nil, false
		}
		answer := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range request.(*kmsg.ListOffsetsRequest).Topics {
			of := kmsg.NewListOffsetsResponseTopic()
			of.Topic = topic.Topic
			for _, p := range topic.Partitions {
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				of.Partitions = append(of.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, of)
		}
		return answer, nil, true
	})
	return granted
}

// TestAStateThatMayNotBeRead costs only the check, and it is said.
func TestAStateThatMayNotBeRead(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	c := hashing(t, cluster.ListenAddrs()[0], "{mode: open}")
	granted := denyOffsets(cluster)
	granted.Store(true)
	_, err = stateOf(t.Context(), c, "public.t")
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike run, then dirtbike wait"}}, cdc.Explain(err).Try, "nothing was captured, which no right helps")
	store(t, c, nil)
	granted.Store(false)
	_, err = stateOf(t.Context(), c, "public.t")
	require.Equal(t, []cdc.Remedy{{Command: "grant Read and Describe on topic " + schemas.StateTopic(c.Kafka.Prefix)}}, cdc.Explain(err).Try)
	core, logged := observer.New(zap.WarnLevel)
	state, err := storedState(t.Context(), c, zap.New(core))
	require.NoError(t, err)
	require.Nil(t, state)
	require.Equal(t, 1, logged.Len())
	require.Contains(t, logged.All()[0].Message, "no right to read the state topic")
	granted.Store(true)
	_, err = stateOf(t.Context(), c, "public.t")
	require.NoError(t, err)
	state, err = storedState(t.Context(), c, zap.New(core))
	require.NoError(t, err)
	require.NotNil(t, state)
	require.Equal(t, 1, logged.Len())
}

// TestALostHashKey: none is made in its place unless everything is copied again; put back it is taken, and without
// Kafka nobody knows.
func TestALostHashKey(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	broker := cluster.ListenAddrs()[0]
	err = keepHashKey(hashing(t, "127.0.0.1:1", hashed))
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Equal(t, []cdc.Remedy{{Command: "see that Kafka runs and kafka.brokers is right"}}, cdc.Explain(err).Try)
	c := hashing(t, broker, hashed)
	require.NoError(t, keepHashKey(c))
	_, prints, err := policies(c, zap.NewNop())
	require.NoError(t, err)
	store(t, c, prints)

	key, err := os.ReadFile(c.HashKeyFile())
	require.NoError(t, err)
	require.NoError(t, os.Remove(c.HashKeyFile()))
	err = keepHashKey(c)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "put the file back from your backup, or where it is lost, dirtbike resnapshot --all, which makes a new one"}}, cdc.Explain(err).Try)
	require.NoFileExists(t, c.HashKeyFile())
	require.NoError(t, os.WriteFile(c.HashKeyFile(), key, 0o600))
	require.NoError(t, keepHashKey(c))

	require.NoError(t, os.Remove(c.HashKeyFile()))
	_, release, err := NewCapture(Options{Config: c, Log: zap.NewNop(), replacesState: true}) // as resnapshot --all does
	require.NoError(t, err)
	release(t.Context())
	require.FileExists(t, c.HashKeyFile())
}

// TestWhatARunningProcessTakesOver: other settings and another hash key are refused, and set back they are not.
func TestWhatARunningProcessTakesOver(t *testing.T) {
	c := hashing(t, "127.0.0.1:1", hashed)
	_, _, err := policies(c, zap.NewNop())
	require.NoError(t, err)
	key, err := os.ReadFile(c.HashKeyFile())
	require.NoError(t, err)
	again := func(broker string) *config.Config {
		next := hashing(t, broker, hashed)
		require.NoError(t, os.WriteFile(next.HashKeyFile(), key, 0o600))
		return next
	}
	other := again("127.0.0.1:2")
	err = CheckRotation(c, other)
	require.Equal(t, []cdc.Remedy{{Command: "restart dirtbike, or set it back"}}, cdc.Explain(err).Try)
	require.NoError(t, CheckRotation(other, again("127.0.0.1:2")), "a restart takes it over")
	back := again("127.0.0.1:1")
	require.NoError(t, CheckRotation(c, back))

	require.NoError(t, os.Remove(back.HashKeyFile()))
	_, _, err = policies(back, zap.NewNop())
	require.NoError(t, err)
	require.Equal(t, []cdc.Remedy{{Command: "restore it"}}, cdc.Explain(CheckRotation(c, back)).Try)
	require.NoError(t, os.WriteFile(back.HashKeyFile(), key, 0o600))
	require.NoError(t, CheckRotation(c, back))
}

// TestAnAddressOfClickHouseThatCannotBeRead: one of the form that is printed can.
func TestAnAddressOfClickHouseThatCannotBeRead(t *testing.T) {
	at := func(url string) *config.Config {
		c, err := config.Parse("a.yaml", fmt.Appendf(nil, `source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: %q}
privacy: {mode: open}`, url))
		require.NoError(t, err)
		return c
	}
	_, err := ClickHouseOptions(at("clickhouse://u:hunter2@127.0.0.1:9000/?dial_timeout=soon"))
	require.NotContains(t, err.Error(), "hunter2")
	_, err = ClickHouseOptions(at(cdc.Explain(err).Try[0].Command))
	require.NoError(t, err)
}
