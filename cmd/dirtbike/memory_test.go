package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// memoryLimit is the most that a leg may have resident, in bytes. Capture peaks at about 110 MB here and load at 180.
const memoryLimit = 250 << 20

// TestMemoryIsBounded sends one transaction through both legs that is larger than what either may hold.
func TestMemoryIsBounded(t *testing.T) {
	const rows, width = 350_000, 30 * 32
	require.Greater(t, rows*width, memoryLimit*5/4, "a leg that held the transaction once, and nothing else, would be too large")
	r := newRig(t, rigOptions{kafkaYAML: ", max_transaction: 64MB", loadYAML: ", memory: 128MB, batch_bytes: 16MB"}, `CREATE TABLE bulky (id int PRIMARY KEY, v text)`)
	capture, load := r.start("capture"), r.start("load")
	r.wait()
	r.exec(fmt.Sprintf(`INSERT INTO bulky SELECT g, repeat(md5(g::text), %d) FROM generate_series(1, %d) g`, width/32, rows))
	r.wait()
	r.equalAll()
	for _, l := range []*process{capture, load} {
		peak := peakMemory(t, l)
		t.Logf("%s: %d MB at its peak", l.verb, peak>>20)
		require.Less(t, peak, int64(memoryLimit), "%s", l.verb)
		l.stop()
	}
}

// peakMemory is the most that a process has had resident, in bytes.
func peakMemory(t *testing.T, l *process) int64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.cmd.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			require.NoError(t, err)
			return kb << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
