package preflight

import (
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"
)

// wide has what is wider than a terminal: subjects and messages of many words, of one word, and of characters two
// columns wide.
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
	for width := 60; width <= mostWidth; width++ {
		for start, checks := 0, wide().Checks; start < len(checks); start++ {
			table := tableOf(checks[start:], width)
			for line := range strings.Lines(table) {
				require.LessOrEqual(t, text.StringWidth(strings.TrimSuffix(line, "\n")), width, "%s", table)
			}
		}
	}
	table := tableOf(sample.Checks[:3], 60)
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
