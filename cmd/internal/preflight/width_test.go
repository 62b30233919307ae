package preflight

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"
)

// wide has what is wider than a terminal: subjects and messages of many words, of one word, and of characters two columns wide.
func wide() Report {
	r := sample
	r.Checks = append([]Check(nil), sample.Checks...)
	for i, words := range []string{strings.Repeat("many words ", 40), strings.Repeat("x", 300), strings.Repeat("患者", 100), strings.Repeat("患者 ", 100), ""} {
		for _, slug := range []string{"kafka-transaction-timeout", "kafka-topics"} {
			r.Checks = append(r.Checks, Check{Part: "kafka", Slug: slug, Level: LevelError, Subject: words[:min(len(words), 150-30*i)], Message: words,
				Command: "kafka-acls.sh --add --topic '" + strings.Repeat("a quoted string ", 20) + "'"})
		}
	}
	return r
}

// TestWidth: no table is wider than there is room for, and every command is in one piece.
func TestWidth(t *testing.T) {
	for width := leastWidth; width <= mostWidth; width++ {
		for start, checks := 0, wide().Checks; start < len(checks); start++ {
			table := tableOf(checks[start:], width)
			for line := range strings.Lines(table) {
				require.LessOrEqual(t, text.StringWidth(strings.TrimSuffix(line, "\n")), width, "%s", table)
			}
		}
	}
	table := tableOf(sample.Checks[:3], leastWidth)
	require.Contains(t, table, "postgres-wal-level │ it is replica and must be       │\n│   │ wal_level          │ logical; it")
	var b strings.Builder
	require.NoError(t, wide().WriteText(&b))
	for line := range strings.Lines(b.String()) {
		if strings.ContainsAny(line, "│─") {
			require.LessOrEqual(t, text.StringWidth(strings.TrimSuffix(line, "\n")), mostWidth)
		}
	}
	for _, c := range wide().Checks {
		if kind(c.Command) != "words" {
			require.Contains(t, b.String(), "\n"+c.Command+"\n")
		}
	}
}

// TestSoftly breaks between words, and loses no character.
func TestSoftly(t *testing.T) {
	require.Equal(t, "a quoted\nstring", softly("a quoted string", 10))
	require.Equal(t, "abcdefghij\nklm no", softly("abcdefghijklm no", 10))
	require.Equal(t, "a\nbbbbbbbbbb\nbb c", softly("a bbbbbbbbbbbb c", 10))
	require.Equal(t, "患\n者", softly("患者", 1))
	require.Empty(t, softly("", 10))
}

// TestTableWidth: what is no terminal, or does not say how wide it is, takes 120 columns.
func TestTableWidth(t *testing.T) {
	require.Equal(t, mostWidth, tableWidth(&strings.Builder{}))
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()
	require.Equal(t, mostWidth, tableWidth(file))
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	defer terminal.Close()
	require.True(t, term.IsTerminal(int(terminal.Fd())))
	require.Equal(t, mostWidth, tableWidth(terminal), "it has 0 columns as long as nobody says how many")
	requireTool(t, "stty", "apt-get install coreutils")
	for columns, want := range map[int]int{40: leastWidth, 60: 60, 80: 80, 119: 119, 300: mostWidth} {
		resize := exec.CommandContext(t.Context(), "stty", "cols", strconv.Itoa(columns))
		resize.Stdin = terminal
		out, err := resize.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, tableWidth(terminal), columns)
	}
}
