package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMemoryIsBounded sends one transaction of 300 MB through both legs; neither may hold it.
func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t, rigOptions{kafkaYAML: ", max_transaction: 64MB", loadYAML: ", memory: 128MB, batch_bytes: 16MB"}, `CREATE TABLE bulky (id int PRIMARY KEY, v text)`)
	capture, load := r.start("capture"), r.start("load")
	r.wait()
	r.exec(`INSERT INTO bulky SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 300000) g`)
	r.wait()
	r.equalAll()
	for _, l := range []*process{capture, load} {
		peak := peakMemory(t, l)
		t.Logf("%s: %d MB at its peak", l.verb, peak>>20)
		require.Less(t, peak, int64(400)<<20, "%s", l.verb)
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
