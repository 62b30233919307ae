package demo

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"
)

// onTerminal is a screen of so many columns, without colours.
func onTerminal(t *testing.T, columns int) (*screen, *bytes.Buffer) {
	t.Setenv("NO_COLOR", "1")
	var out bytes.Buffer
	s := newScreen(&out, true)
	s.columns = func() int { return columns }
	return s, &out
}

// shown are the lines of out without what moves the cursor.
func shown(out string) []string {
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(out, text.EraseLine.Sprint(), ""), "\n"), "\n")
}

func TestSaidLinesAreWrappedOnATerminal(t *testing.T) {
	const long = "The question that the nightly ETL asked of production: paid and denied amount per clinic, month and plan"
	for columns, want := range map[int][]string{
		80:  {"", "The question that the nightly ETL asked of production: paid and denied amount", "per clinic, month and plan", "end"},
		100: {"", "The question that the nightly ETL asked of production: paid and denied amount per clinic, month and", "plan", "end"},
		140: {"", long, "end"},
	} {
		s, out := onTerminal(t, columns)
		s.heading(long)
		s.say("end")
		require.Equal(t, want, shown(out.String()), "%d columns", columns)
	}
}

// TestFitsInto80Columns tries what is drawn at its widest: what does not fit is cut off.
func TestFitsInto80Columns(t *testing.T) {
	s, out := onTerminal(t, 80)
	b := s.bars(etlQuestion, 0)
	b.began = b.began.Add(-1e12)
	b.set("public.claim_lines", 10, 100_000_000)
	b.draw()
	k := &kills{demo: &demo{screen: s}, done: []*killed{{part: "ClickHouse", at: 1e11, fresh: 1e11}, {part: "ClickHouse", at: 1e10}}}
	lines := append(shown(out.String()), k.lines()...)
	k.stop()
	for _, line := range append(lines, k.lines()...) {
		require.LessOrEqual(t, text.StringWidthWithoutEscSequences(line), 79, line)
	}
	require.Contains(t, out.String(), "ETA ")
}

// TestAddressesAreNotBroken tries a Postgres URL as long as the embedded stack makes them.
func TestAddressesAreNotBroken(t *testing.T) {
	const bare = "postgres://postgres:0123456789abcdef01234567@127.0.0.1:40001/clinic"
	for columns, want := range map[int][]string{
		80:  {"  Postgres " + bare},
		100: {"  Postgres     " + bare + "?sslmode=disable"},
		140: {"  Postgres     " + bare + "?sslmode=disable"},
		0:   {"  Postgres     " + bare + "?sslmode=disable"},
	} {
		s, out := onTerminal(t, columns)
		s.say("  %-12s %s", "Postgres", s.fitting(bare+"?sslmode=disable"))
		require.Equal(t, want, shown(out.String()), "%d columns", columns)
	}
}
