package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// TestBench takes every measure once, with few rows: not for the figures, but that each is there. Its legs are this
// binary.
func TestBench(t *testing.T) {
	t.Parallel()
	embeddedtest.Tools(t, "npm")
	embeddedtest.Tools(t, "pg_recvlogical")
	file := filepath.Join(t.TempDir(), "report.md")
	args := []string{"bench", "--rows", "8000", "--pairs", "1", "--tries", "1", "--rate", "100", "--for", "1s", "--kafka", "kfake", "--out", file}
	var out, errs bytes.Buffer
	code := execute(t.Context(), args, &out, &errs, nil)
	require.Contains(t, []int{exitGood, exitNo}, code, errs.String()) // no figure is promised of so few rows
	require.Equal(t, code == exitNo, strings.Contains(errs.String(), "below what is promised"), errs.String())
	require.Empty(t, out.String())
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	report := string(written)
	require.Contains(t, report, "`dirtbike bench --pairs 1 --rows 8000 --tries 1 --rate 100 --for 1s --kafka kfake`")
	const number = `\d+(\.\d+)?`
	for _, line := range []string{
		`\| CPU \| .+, \d+ cores \|`, `\| memory \| .+ \|`, `\| system \| .+ \|`, `\| Go \| go1\..+ \|`, `\| Postgres \| 1\d.+ \|`, `\| pg_recvlogical \| .+ \|`,
		`\| ClickHouse \| \d+\..+ \|`, `\| Kafka \| kfake.* \|`, `\| claims \| 9 \| 8,000 \| \d+ \| \d+ \|`, `\| wide \| 60 \| 1,000 \| \d+ \| \d+ \|`,
		`\| stream \| claims, binary \| 8,000 \| \d+k \| \d+k \| \*\*` + number + `\*\* \| ` + number + ` – ` + number + ` \| ≥ 0\.7 \| ` + number + ` \|`,
		`\| stream \| (claims|wide), text \| .* ≥ 0\.7 \| ` + number + ` \|`, `\| stream \| wide, binary \| .* ≥ 0\.7 \| ` + number + ` \|`,
		`\| copy \| claims \| 8,000 \| .* ≥ 0\.5 \| ` + number + ` \|`, `\| copy \| wide \| 1,000 \| .* ≥ 0\.5 \| ` + number + ` \|`,
		`\| load \| claims \| 8,000 \| .* ≥ 2\.0 \| – \|`, `\| load \| wide \| 1,000 \| .* ≥ 2\.0 \| – \|`,
		`\| (claims|wide) \| kafka_num_consumers = \d+, .* \| \d+k \|`, `100 transactions of one row at \d+ per second .*`,
		`\| \d+ ms \| \d+ ms \| \d+ ms \| (met|missed) \|`, `\| dirtbike run, first copy of 8,000 rows and 100 transactions per second \| \d+ MB \|`,
	} {
		require.Regexp(t, regexp.MustCompile(`(?m)^`+line+`$`), report)
	}
}

// TestBenchAgainst compares a build with itself: every figure is there.
func TestBenchAgainst(t *testing.T) {
	t.Parallel()
	embeddedtest.Tools(t, "npm")
	embeddedtest.Tools(t, "pg_recvlogical")
	self, err := os.Executable()
	require.NoError(t, err)
	args := []string{"bench", "--rows", "1000", "--pairs", "1", "--rate", "50", "--for", "1s", "--kafka", "kfake", "--against", self}
	var out, errs bytes.Buffer
	require.Equal(t, exitGood, execute(t.Context(), args, &out, &errs, nil), errs.String())
	for _, figure := range []string{
		`stream \| claims, binary \|`, `stream \| claims, text \|`, `stream \| wide, binary \|`, `copy \| claims \|`, `copy \| wide \|`,
		`load \| claims \|`, `load \| wide \|`, `latency \| claims, 50 per second \| ms, p99 \|`,
	} {
		require.Regexp(t, `(?m)^\| `+figure+`.* \*\*\d+\.\d+\*\* \| `, out.String())
	}
}

func TestBenchRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"there is no measure":    {"--only", "speed"},
		"make the report's file": {"--only", "copy", "--out", filepath.Join(t.TempDir(), "no", "report.md")},
		"Try: --rows":            {"--only", "copy", "--rows", "1"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, exitWrong, execute(t.Context(), append([]string{"bench"}, args...), &out, &errs, nil), want)
		require.Contains(t, errs.String(), want)
		require.Contains(t, errs.String(), "Try: ")
	}
}
