package bench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestRowPathsDoNotAllocate holds both row paths, of both tables and in both forms, to no allocation per row, from the
// connection to the encoded record.
func TestRowPathsDoNotAllocate(t *testing.T) {
	embeddedtest.Tools(t, "npm", "pg_recvlogical")
	o := small()
	o.Only = []string{MeasureStream, MeasureCopy}
	o.Rows = 240_000 // the second half of the wide table fills more chunks than there are
	report, err := Run(t.Context(), o)
	require.NoError(t, err)
	var measured []string
	for _, c := range report.Comparisons {
		measured = append(measured, strings.TrimSuffix(c.Measure+" "+c.Table+" "+c.Form, " "))
		require.True(t, c.AllocationsCounted)
		require.False(t, c.allocates(), "%s of %s: %.4f", c.Measure, c.name(), c.perRow())
		t.Logf("%s of %s: %.4f allocations a row", c.Measure, c.name(), c.perRow())
	}
	require.Equal(t, []string{"stream claims binary", "stream claims text", "copy claims", "stream wide binary", "stream wide text", "copy wide"}, measured)
	require.Equal(t, []int64{240_000, 30_000}, []int64{report.Tables[0].Rows, report.Tables[1].Rows})
	require.Equal(t, []int{9, 60}, []int{report.Tables[0].Columns, report.Tables[1].Columns})
}

var kept []byte

// TestAllocationsAreCounted: the counter of the test above can fail.
func TestAllocationsAreCounted(t *testing.T) {
	a := newAllocations(10_000)
	for range 10_000 {
		kept = make([]byte, 64)
		a.add(1)
	}
	require.InDelta(t, 1, a.perRow(), 0.01)
}

// cancelling ends a context when a pair is reported.
type cancelling struct {
	mu     sync.Mutex
	said   bytes.Buffer
	cancel context.CancelFunc
}

func (c *cancelling) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes.Contains(b, []byte("pair 1 of")) {
		c.cancel()
	}
	return c.said.Write(b)
}

// TestInterrupted: Ctrl-C leaves no file.
func TestInterrupted(t *testing.T) {
	embeddedtest.Tools(t, "npm")
	temporary := t.TempDir()
	require.NoError(t, os.Chmod(temporary, 0o755)) // Postgres runs as another user when we are root
	require.NoError(t, os.Chmod(filepath.Dir(temporary), 0o755))
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	progress := &cancelling{cancel: cancel}
	o := small()
	o.Only, o.Pairs, o.Progress = []string{MeasureCopy}, 100, progress
	report, err := Run(ctx, o)
	require.Len(t, cdc.Explain(err).Try, 1)
	require.Nil(t, report)
	require.NotContains(t, progress.said.String(), "pair 100 of")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"--only stream,copy,load,latency": func(o *Options) { o.Only = []string{"speed"} },
		"--pairs":                         func(o *Options) { o.Pairs = 0 },
		"--rows":                          func(o *Options) { o.Rows = 10 },
		"--tries":                         func(o *Options) { o.Tries = 0 },
		"--rate":                          func(o *Options) { o.Rate = 0 },
		"--for":                           func(o *Options) { o.For = 0 },
		"kfake":                           func(o *Options) { o.Kafka = "redpanda" },
		"npm":                             func(o *Options) { o.Engines = "docker" },
	} {
		o := small()
		o.Only = []string{MeasureCopy}
		change(&o)
		_, err := Run(t.Context(), o)
		require.Contains(t, cdc.Explain(err).Try[0].Command, want)
		require.True(t, errors.Is(err, ErrOptions), want)
	}
}
