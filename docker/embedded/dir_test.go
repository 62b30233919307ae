package embedded

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func portOf(t *testing.T, raw string) int {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	return port
}

func TestForeignDirectoriesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	note := filepath.Join(dir, "note.txt")
	require.NoError(t, os.WriteFile(note, []byte("mine"), 0o600))
	require.ErrorIs(t, Clean(dir), ErrOptions)
	_, err := Start(testContext(t), Options{Dir: dir})
	require.ErrorIs(t, err, ErrOptions)
	for _, path := range []string{note, filepath.Join(note, "below")} {
		_, err = Start(testContext(t), Options{Dir: path})
		require.ErrorIs(t, err, ErrOptions, path)
	}
	require.ErrorIs(t, Clean(note), ErrOptions)
	require.NoError(t, os.WriteFile(filepath.Join(dir, markerName), []byte("{}"), 0o600))
	require.Error(t, Clean(dir), "a marker of another format")
	require.FileExists(t, note)
	require.NoError(t, Clean(filepath.Join(dir, "not-there")))
}

func TestDirectoryKeepsWhatItWasMadeFor(t *testing.T) {
	d, err := openDir(t.TempDir())
	require.NoError(t, err)
	d.state.PostgresMajor, d.state.Kafka = "17", kindKfake
	require.NoError(t, d.saveState())
	require.NoError(t, d.close())
	for _, o := range []Options{{PostgresVersion: "18"}, {Kafka: kindApache}} {
		o.Dir = d.path
		_, err := Start(testContext(t), o)
		require.ErrorIs(t, err, ErrOptions)
	}
}

func TestUnknownOptions(t *testing.T) {
	for _, o := range []Options{{Engines: "docker"}, {Kafka: "redpanda"}, {PostgresVersion: "13", Parts: Parts{Postgres: true}}} {
		dir := filepath.Join(t.TempDir(), "new")
		o.Dir = dir
		_, err := Start(testContext(t), o)
		for _, err := range []error{err, Prepare(testContext(t), o), o.Check()} {
			require.ErrorIs(t, err, ErrOptions)
		}
		require.NoDirExists(t, dir, "nothing remains")
	}
	_, err := Start(testContext(t), Options{})
	require.ErrorIs(t, err, ErrOptions)
}

func TestPortsAreRememberedWhileFree(t *testing.T) {
	s := &state{Ports: map[string]int{}}
	first, err := s.port("a")
	require.NoError(t, err)
	again, err := s.port("a")
	require.NoError(t, err)
	require.Equal(t, first, again)
	l, err := net.Listen("tcp", loopback(first))
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	other, err := s.port("a")
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	require.Equal(t, other, s.Ports["a"])
}
