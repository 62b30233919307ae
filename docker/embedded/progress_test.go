package embedded

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLineProgress(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	set, done := p("postgres-18", 59_000_000)
	set(1)
	done(nil)
	_, done = p("clickhouse", 569_000_000)
	done(errors.New("no network"))
	require.Regexp(t, `^installing postgres-18 \(59 MB\)
installed postgres-18 in \d.*s
installing clickhouse \(569 MB\)
installing clickhouse failed
$`, out.String())
}

// TestBarProgress ends tasks before and after the renderer has drawn, and starts it again.
func TestBarProgress(t *testing.T) {
	var out bytes.Buffer
	b := &bars{w: &out}
	for range 2 {
		setPostgres, donePostgres := b.begin("postgres-18", 100)
		setClickHouse, doneClickHouse := b.begin("clickhouse", 200)
		setPostgres(50)
		setClickHouse(200)
		donePostgres(nil)
		doneClickHouse(errors.New("no network"))
	}
	require.Contains(t, out.String(), "installing postgres-18")
	require.Contains(t, out.String(), "installing clickhouse")
}

func TestWatchSize(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 70), 0o600))
	sizes, ended := make(chan int64, 100), false
	p := func(string, int64) (func(int64), func(error)) {
		return func(n int64) { sizes <- n }, func(error) { ended = true }
	}
	stop := watchSize(p, "x", dir, 50)
	require.Equal(t, int64(50), <-sizes, "never more than the total")
	stop(nil)
	require.True(t, ended)
	watchSize(nil, "x", dir, 50)(nil)
}
