package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/bench"
)

// memoryLimit is the most that a process may have resident, in bytes, with both legs and the default settings.
const memoryLimit = 300_000_000

// TestMemoryIsBounded sends one transaction through both legs that is larger than what they may hold together.
func TestMemoryIsBounded(t *testing.T) {
	const rows, width = 400_000, 30 * 32
	require.Greater(t, rows*width, memoryLimit*5/4, "a leg that held the transaction once, and nothing else, would be too large")
	r := newRig(t, rigOptions{}, `CREATE TABLE bulky (id int PRIMARY KEY, v text)`)
	both := r.start("run")
	r.wait()
	r.exec(fmt.Sprintf(`INSERT INTO bulky SELECT g, repeat(md5(g::text), %d) FROM generate_series(1, %d) g`, width/32, rows))
	r.wait()
	r.equalAll()
	peak, err := bench.PeakMemory(both.cmd.Process.Pid)
	require.NoError(t, err)
	t.Logf("%d MB at its peak", peak/1_000_000)
	require.Less(t, peak, int64(memoryLimit))
	both.stop()
}
