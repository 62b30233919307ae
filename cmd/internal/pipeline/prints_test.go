package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"
)

const hashed = "{mode: open, columns: {public.t: {name: hash}}}"

// hashing is a config whose parts, but Kafka, answer nobody.
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
	_, err := Verify(t.Context(), c, zap.NewNop(), nil, func(string, int64) {})
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.EqualError(t, err, "refused: hash key "+c.HashKeyFile()+" is missing. Try: copy it from where capture runs, or set privacy.hash.keys")
	require.NoFileExists(t, c.HashKeyFile())
	_, _, err = ExistingPolicies(hashing(t, "127.0.0.1:1", "{mode: open}"))
	require.NoError(t, err, "nothing is hashed")
}

// commit writes records to the state topic in one transaction, as capture does.
func commit(t *testing.T, kafka *kgo.Client, topic string, end kgo.TransactionEndTry, records ...string) {
	t.Helper()
	require.NoError(t, kafka.BeginTransaction())
	for i := 0; i < len(records); i += 2 {
		require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(records[i]), Value: []byte(records[i+1])}).FirstErr())
	}
	require.NoError(t, kafka.EndTransaction(t.Context(), end))
}

// TestAnotherHashKeyIsRefused: the fingerprints of the topics are in the state topic; what was not committed does not count.
func TestAnotherHashKeyIsRefused(t *testing.T) {
	topic := schemas.StateTopic("dirtbike")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	broker := cluster.ListenAddrs()[0]
	kafka, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.TransactionalID("capture"))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)

	c := hashing(t, broker, hashed)
	require.Equal(t, topic, schemas.StateTopic(c.Kafka.Prefix))
	_, prints, err := Policies(c, zap.NewNop())
	require.NoError(t, err)
	check := func(c *config.Config) error { return checkPrints(t.Context(), c, zap.NewNop(), prints) }
	require.NoError(t, check(c), "no capture has begun")
	commit(t, kafka, topic, kgo.TryCommit, "source", `{"hash_keys":{"k0":"old"}}`, "point", `{}`)
	commit(t, kafka, topic, kgo.TryCommit, "source", `{"hash_keys":{"k0":"old","k1":"`+prints["k1"]+`"}}`)
	commit(t, kafka, topic, kgo.TryCommit, "point", `{}`)
	commit(t, kafka, topic, kgo.TryAbort, "source", `{"hash_keys":{"k1":"never"}}`)
	require.NoError(t, check(c))
	reading, cancel := context.WithTimeout(t.Context(), printsTime)
	defer cancel()
	stored, err := writtenPrints(reading, c)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k0": "old", "k1": prints["k1"]}, stored)

	commit(t, kafka, topic, kgo.TryCommit, "source", `{"hash_keys":{"k1":"another"}}`)
	err = check(c)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.EqualError(t, err, "refused: hash key k1 is not the one the topics were written with (fingerprint another, here "+prints["k1"]+"): nothing was compared. Try: copy "+c.HashKeyFile()+" from where capture runs")
	own := hashing(t, broker, `{mode: open, columns: {public.t: {name: hash}}, hash: {keys: {k1: "0123456789abcdef"}}}`)
	require.ErrorContains(t, check(own), "Try: set the former one in privacy.hash.keys")
	require.NoFileExists(t, own.HashKeyFile())
}

// TestAKafkaThatIsAwayCostsOnlyTheCheck, and it is said.
func TestAKafkaThatIsAwayCostsOnlyTheCheck(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	c := hashing(t, "127.0.0.1:1", hashed)
	require.NoError(t, checkPrints(ctx, c, zap.New(core), map[string]string{"k1": "x"}))
	require.Equal(t, 1, logged.Len())
	require.Contains(t, logged.All()[0].Message, "which hash key the topics were written with")
	require.NoError(t, checkPrints(ctx, c, zap.New(core), nil))
	require.Equal(t, 1, logged.Len(), "nothing is hashed, nobody is asked")
	_, err := os.Stat(c.HashKeyFile())
	require.ErrorIs(t, err, os.ErrNotExist)
}
