package pipeline

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/config"
)

// TestMadeHashKeyIsLogged, once: without the file every hash would change.
func TestMadeHashKeyIsLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dirtbike.yaml")
	parse := func(privacy string) *config.Config {
		c, err := config.Parse(path, []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
privacy: `+privacy))
		require.NoError(t, err)
		return c
	}
	core, logged := observer.New(zap.InfoLevel)
	_, _, err := policies(parse("{mode: open}"), zap.New(core))
	require.NoError(t, err)
	require.Zero(t, logged.Len(), "nothing is hashed")
	c := parse("{mode: open, columns: {public.t: {name: hash}}}")
	for range 2 {
		_, _, err = policies(c, zap.New(core))
		require.NoError(t, err)
	}
	require.Equal(t, 1, logged.Len())
	entry := logged.All()[0]
	require.Contains(t, entry.Message, "keep it and back it up")
	require.Equal(t, filepath.Join(filepath.Dir(path), "dirtbike.hash.key"), entry.ContextMap()["file"])
	key, err := os.ReadFile(c.HashKeyFile())
	require.NoError(t, err)
	require.NotContains(t, entry.Message, string(key[:64]))
}
