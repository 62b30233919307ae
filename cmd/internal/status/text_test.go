package status

import (
	"strings"
	"testing"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

const longNotes = `┌───────────────┬─────────────┬───────────┬───────┬──────────────┐
│ TABLE         │ PHASE       │ ROWS      │ EXACT │ DEAD LETTERS │
├───────────────┼─────────────┼───────────┼───────┼──────────────┤
│ public.claims │ streaming   │ 1,234,567 │ yes   │            0 │
│ public.visits │ quarantined │        12 │ no    │            3 │
└───────────────┴─────────────┴───────────┴───────┴──────────────┘
NOTE public.claims: exact text in _inexact: due 2
NOTE public.visits: capture: the table's columns have changed (added
  note text): rows may have changed without an event.
  Try: stop capture, then dirtbike resnapshot public.visits, which is a command that is longer than any terminal
  load: malformed value.
  Try: that
`

const narrow = `public.claims
  streaming · 1,234,567 rows · exact
  NOTE: exact text in _inexact: due 2
public.visits
  quarantined · 12 rows · not exact · 3 dead letters
  NOTE: capture: the table's columns have changed (added
    note text): rows may have changed without an event.
    Try: stop capture, then dirtbike resnapshot public.visits, which is a command that is longer than any terminal
  load: malformed value.
    Try: that
`

// TestTablesFitTheirPage: notes go below where they are too long, everything becomes a list where the table itself is
// too wide, and a command is never broken.
func TestTablesFitTheirPage(t *testing.T) {
	s := sample()
	s.Tables[0].Inexact = map[string]int64{"due": 2}
	require.Contains(t, s.tables(120), "│ load: column note: malformed value │\n")
	s.Tables[1].because(cdc.ParseProblem("capture: the table's columns have changed (added note text): rows may have changed without an event. "+
		"Try: dirtbike resnapshot public.visits, which is a command that is longer than any terminal"), cdc.ParseProblem("load: malformed value. Try: that"))
	require.Equal(t, longNotes, s.tables(70))
	require.Equal(t, narrow, s.tables(60))
	s.Tables[0].Table = "public." + strings.Repeat("x", 120)
	for width := 60; width < 200; width++ {
		for line := range strings.Lines(s.tables(width)) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.Contains(line, "Try: ") && !strings.Contains(line, s.Tables[0].Table) || strings.ContainsAny(line, "│─") {
				require.LessOrEqual(t, prettytext.StringWidthWithoutEscSequences(line), width, line)
			}
		}
	}
}
