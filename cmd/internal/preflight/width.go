package preflight

import (
	"slices"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"

	"dirtbike/cmd/internal/console"
)

// How wide a table is, in columns of a terminal.
const (
	// mostWidth is what a wider terminal is not filled beyond.
	mostWidth = 120
	// stackedWidth is the width below which the subject is under the check's name.
	stackedWidth = 100
	// subjectShare is how much of the room after the name a subject takes before it continues in the next line.
	subjectShare = 0.4
)

// tableOf writes one part's checks, no line wider than width.
func tableOf(checks []Check, width int) string {
	const mark, edges = 1, 3 // of each column: a line and a space on both sides
	name, subject := prettytext.StringWidth(checks[0].Part), len("WHAT")
	for _, c := range checks {
		name = max(name, prettytext.StringWidth(c.Slug))
		subject = max(subject, prettytext.StringWidth(console.Printable(c.Subject)))
	}
	header, room := pretty.Row{"", strings.ToUpper(checks[0].Part), "WHAT", "FOUND"}, width-mark-name-4*edges-1
	subject = max(min(subject, int(subjectShare*float64(room))), len("WHAT"))
	columns := []pretty.ColumnConfig{console.AtMost(3, subject), console.AtMost(4, room-subject)}
	stacked := width < stackedWidth
	if stacked {
		header, columns = slices.Delete(header, 2, 3), []pretty.ColumnConfig{console.AtMost(3, room+edges)}
	}
	t := console.NewTable(header)
	t.SetColumnConfigs(columns)
	for _, c := range checks {
		row := pretty.Row{marks[c.Level], c.Slug, console.Printable(c.Subject), console.Printable(c.Message)}
		if stacked {
			row = pretty.Row{row[0], c.Slug + "\n" + console.WrapCell(console.Printable(c.Subject), name), row[3]}
		}
		t.AppendRow(row)
	}
	return t.Render()
}
