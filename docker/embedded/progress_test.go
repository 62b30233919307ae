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
	task := p.Start("postgres-18", 59_000_000)
	task.Set(1)
	task.Done(nil)
	p.Start("clickhouse", 569_000_000).Done(errors.New("no network"))
	require.Regexp(t, `^installing postgres-18 \(59 MB\)
installed postgres-18 in \d.*s
installing clickhouse \(569 MB\)
installing clickhouse failed
$`, out.String())
}

// TestBarProgress ends tasks before and after the renderer has drawn, and starts it again.
func TestBarProgress(t *testing.T) {
	var out bytes.Buffer
	p := &barProgress{w: &out}
	for range 2 {
		a, b := p.Start("postgres-18", 100), p.Start("clickhouse", 200)
		a.Set(50)
		b.Set(200)
		a.Done(nil)
		b.Done(errors.New("no network"))
	}
	require.Contains(t, out.String(), "installing postgres-18")
	require.Contains(t, out.String(), "installing clickhouse")
}

func TestWatchSize(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 70), 0o600))
	rec := &recorder{set: make(chan int64, 100)}
	stop := watchSize(rec, "x", dir, 50)
	require.Equal(t, int64(50), <-rec.set, "never more than the total")
	stop(nil)
	require.True(t, rec.done)
	watchSize(nil, "x", dir, 50)(nil)
}

// recorder is a Progress that keeps its calls.
type recorder struct {
	set  chan int64
	done bool
}

func (r *recorder) Start(string, int64) Task { return r }
func (r *recorder) Set(n int64)              { r.set <- n }
func (r *recorder) Done(error)               { r.done = true }
