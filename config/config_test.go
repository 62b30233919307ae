package config_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

const (
	testHashKey = "5ad0a8f2c93e4b17a6c1de7f80b24c9a3b96e07d41f85c2a9e13b4d6f7082ca5"
	// testToken is a token, or a key of another form, that cannot be guessed.
	testToken = "tq7Vx2Lm9ZrB4wKp"
)

// inFolder copies a file of this package to a folder of its own, with the secrets that the samples refer to.
func inFolder(t *testing.T, name string) string {
	t.Helper()
	for _, variable := range []string{"PGPASSWORD", "KAFKA_PASSWORD", "REGISTRY_PASSWORD", "CLICKHOUSE_PASSWORD", "OPS_TOKEN"} {
		t.Setenv(variable, "canary-"+variable)
	}
	t.Setenv("OPS_TOKEN", testToken)
	dir := t.TempDir()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "secrets"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets", "hash.key"), []byte(testHashKey+"\n"), 0o600))
	path := filepath.Join(dir, "dirtbike.yaml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// with is the smallest valid file plus more top-level text.
func with(more string) string {
	return "source: {url: \"postgres://u@h/d\"}\nkafka: {brokers: [\"k:9092\"]}\nregistry: {url: \"http://r:8081\"}\n" +
		"clickhouse: {url: \"clickhouse://c:9000\"}\n" + more
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(text))
	require.NoError(t, err)
	return cfg
}

func TestMinimalTakesEveryDefault(t *testing.T) {
	path := inFolder(t, "minimal.yaml")
	cfg, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, path, cfg.Path())
	require.Equal(t, filepath.Dir(path), filepath.Dir(cfg.Path()))
	require.Equal(t, "postgres://dirtbike:canary-PGPASSWORD@db:5432/clinic", cfg.Source.URL.Reveal())
	require.Equal(t, []string{"public.*"}, cfg.Source.Tables)
	require.Equal(t, "dirtbike", cfg.Source.Slot)
	require.Equal(t, "dirtbike", cfg.Source.Publication)
	require.Equal(t, config.Snapshot{Workers: 2}, cfg.Source.Snapshot)
	require.Equal(t, config.Kafka{
		Brokers: []string{"kafka:9092"}, Prefix: "dirtbike", Partitions: 6, ReplayHorizon: 168 * time.Hour, Tombstones: config.TombstonesAlways,
		MaxTransaction: 256_000_000, TransactionTimeout: time.Minute, MaxMessageBytes: 16_000_000,
		Compression: config.CompressionLZ4,
	}, cfg.Kafka)
	require.Equal(t, "dirtbike", cfg.ClickHouse.Database)
	require.Equal(t, config.LoadLimits{BatchRows: 100_000, BatchBytes: 64_000_000, FlushInterval: 50 * time.Millisecond, Memory: 256_000_000},
		cfg.ClickHouse.Load)
	require.Nil(t, cfg.Privacy)
	require.Empty(t, cfg.Rollups)
	require.Equal(t, "127.0.0.1:8085", cfg.Ops.Listen)
	require.Equal(t, config.Verify{ChunkRows: 10_000, RowsPerSecond: 50_000}, cfg.Verify)
}

func TestSampleLoads(t *testing.T) {
	cfg, err := config.Load(inFolder(t, "sample.yaml"))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"public.events": {"source", "seq"}}, cfg.Source.Keys)
	require.Equal(t, 7*24*time.Hour, cfg.Kafka.ReplayHorizon)
	require.Equal(t, "secrets/ca.pem", cfg.Kafka.TLS.CA)
	require.Equal(t, config.MechanismScramSHA512, cfg.Kafka.SASL.Mechanism)
	require.Equal(t, "canary-KAFKA_PASSWORD", cfg.Kafka.SASL.Password.Reveal())
	require.Equal(t, config.ModeAllowlist, cfg.Privacy.Mode)
	id, key, err := cfg.HashKey()
	require.NoError(t, err)
	require.Equal(t, "k1", id)
	require.Len(t, key, 32)
}

// The example of the design must stay a valid file, except for rollups, which this release refuses.
func TestDesignExample(t *testing.T) {
	path := inFolder(t, "testdata/design.yaml")
	cfg, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, "clinic", cfg.Kafka.Prefix)
	policy, named := cfg.Privacy.For("public", "patients", "mrn")
	require.Equal(t, config.HashValue, policy)
	require.True(t, named)
}

// TestPostgresOfASocket: libpq's URLs may name the host, a folder of a socket, in the query.
func TestPostgresOfASocket(t *testing.T) {
	for url, good := range map[string]bool{"postgres:///d?host=/var/run/postgresql": true, "postgres://u@/d?host=db": true, "postgres:///d": false, "postgres://": false} {
		_, err := config.Parse("a.yaml", []byte(instead("source", "{url: \""+url+"\"}")))
		require.Equal(t, good, err == nil, url)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	requireTry(t, err)
}

// TestOddPaths: an error stays on its line, and shows what it names, for any name of the file.
func TestOddPaths(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a\nb\x1b.yaml")
	quoted := strings.Trim(strconv.Quote(path), `"`)
	_, err := config.Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Contains(t, cdc.Explain(err).What, quoted)
	require.NoError(t, os.WriteFile(path, []byte(with(`"op\ns": {}`)), 0o600))
	_, err = config.Load(path)
	requireProblems(t, err, "5:1 op\ns: ops")
	require.NotContains(t, err.Error(), "\n")
	require.NoError(t, os.WriteFile(path, []byte(with("privacy: {mode: open, hash: {keys: {k1: \"${file:no\\nne}\"}}}")), 0o600))
	_, err = config.Load(path)
	requireKey(t, err, "privacy.hash.keys.k1")
	require.NotContains(t, err.Error(), "\n")
}

func TestReferencesStandForAnyValue(t *testing.T) {
	t.Setenv("PARTS", "12")
	t.Setenv("KEEP", "3d")
	t.Setenv("SIZE", "64MiB")
	t.Setenv("TABLE", "billing")
	cfg := parse(t, `
source: {url: "host=h password=$${literal", tables: ["${env:TABLE}.x_${env:TABLE}"]}
kafka: {brokers: ["k:9092"], partitions: "${env:PARTS}", replay_horizon: "${env:KEEP}", max_message_bytes: "${env:SIZE}"}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
`)
	require.Equal(t, "host=h password=${literal", cfg.Source.URL.Reveal())
	require.Equal(t, []string{"billing.x_billing"}, cfg.Source.Tables)
	require.Equal(t, 12, cfg.Kafka.Partitions)
	require.Equal(t, 72*time.Hour, cfg.Kafka.ReplayHorizon)
	require.Equal(t, 64<<20, cfg.Kafka.MaxMessageBytes.Int())
}

// What comes out of a reference is not looked into again.
func TestReferencesDoNotNest(t *testing.T) {
	t.Setenv("OUTER", "tq7V${env:INNER}x2Lm")
	cfg := parse(t, with(`ops: {listen: "127.0.0.1:0"}`+"\n"+`privacy: {hash: {keys: {k1: "${env:OUTER}9ZrB4wKp"}}}`))
	require.Equal(t, "tq7V${env:INNER}x2Lm9ZrB4wKp", cfg.Privacy.Hash.Keys["k1"].Reveal())
}

// TestFilesAreReadUpToALimit: a file of another kind, or a device without an end, is refused and not read into memory.
func TestFilesAreReadUpToALimit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dirtbike.yaml")
	text := with("")
	fill := func(size int) {
		padded := text + "#" + strings.Repeat("x", size-len(text)-1)
		require.NoError(t, os.WriteFile(path, []byte(padded), 0o600))
	}
	fill(1 << 20)
	_, err := config.Load(path)
	require.NoError(t, err)
	fill(1<<20 + 1)
	for _, name := range []string{path, "/dev/zero"} {
		_, err = config.Load(name)
		require.Contains(t, cdc.Explain(err).What, name)
		requireTry(t, err)
	}

	secret := filepath.Join(dir, "secret")
	text = strings.Replace(text, "postgres://u@h/d", "postgres://u:${file:secret}@h/d", 1)
	fill(1000)
	require.NoError(t, os.WriteFile(secret, []byte(strings.Repeat("s", 64<<10)), 0o600))
	_, err = config.Load(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(secret, []byte(strings.Repeat("s", 64<<10+1)), 0o600))
	_, err = config.Load(path)
	requireKey(t, err, "source.url")
	text = strings.Replace(text, "file:secret", "file:/dev/zero", 1)
	fill(1000)
	_, err = config.Load(path)
	requireKey(t, err, "source.url")
}
