package preflight

import (
	"strings"

	"dirtbike/cmd/internal/console"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
)

// How wide a table is, in columns of a terminal.
const (
	// mostWidth is what a wider terminal is not filled beyond.
	mostWidth = 120
	// stackedWidth is the width below which the subject is under the check's name, which leaves more room for what was
	// found.
	stackedWidth = 100
	// subjectShare is how much of the room after the name a subject takes before it continues in the next line.
	subjectShare = 0.4
)

// tableOf writes one part's checks, no line wider than width.
func tableOf(checks []Check, width int) string {
	name, subject := prettytext.StringWidth(checks[0].Part), 0
	for _, c := range checks {
		name = max(name, prettytext.StringWidth(c.Slug))
		subject = max(subject, prettytext.StringWidth(console.Printable(c.Subject)))
	}
	const mark, edges = 1, 3 // of each column: a line and a space on both sides
	if width < stackedWidth {
		found := width - mark - name - 3*edges - 1
		t := console.NewTable(pretty.Row{"", strings.ToUpper(checks[0].Part), "FOUND"})
		t.SetColumnConfigs([]pretty.ColumnConfig{console.AtMost(3, found)})
		for _, c := range checks {
			t.AppendRow(pretty.Row{marks[c.Level], c.Slug + "\n" + console.WrapCell(console.Printable(c.Subject), name), console.Printable(c.Message)})
		}
		return t.Render()
	}
	room := width - mark - name - 4*edges - 1
	subject = max(min(subject, int(subjectShare*float64(room))), len("WHAT"))
	t := console.NewTable(pretty.Row{"", strings.ToUpper(checks[0].Part), "WHAT", "FOUND"})
	t.SetColumnConfigs([]pretty.ColumnConfig{console.AtMost(3, subject), console.AtMost(4, room-subject)})
	for _, c := range checks {
		t.AppendRow(pretty.Row{marks[c.Level], c.Slug, console.Printable(c.Subject), console.Printable(c.Message)})
	}
	return t.Render()
}
