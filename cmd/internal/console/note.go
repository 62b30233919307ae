package console

import (
	"strings"

	"dirtbike/cdc"
)

// Indent is what lines begin with that belong to the one above them.
const Indent = "  "

// Note is a text for a person, and what to do about it, "Try: …"; empty if there is nothing to do.
type Note struct{ Text, Try string }

// NoteOf gives a problem as a note that a terminal can show.
func NoteOf(p *cdc.Problem) Note {
	e := cdc.Explain(p)
	try := cdc.WriteRemedies(e.Try)
	e.Try = nil
	n := Note{Printable(e.Error()), Printable(try)}
	if try != "" {
		n.Text += "."
	}
	return n
}

// Joined writes notes in one line.
func Joined(notes []Note) string {
	var out []string
	for _, n := range notes {
		out = append(out, strings.TrimSpace(n.Text+" "+n.Try))
	}
	return strings.Join(out, "; ")
}

// Lay writes notes in lines of that width, each way out in a line of its own, which is never broken, so that it can be
// copied.
func Lay(notes []Note, margin string, width int) string {
	var out strings.Builder
	for i, n := range notes {
		first := margin
		if i > 0 && margin == "" {
			first = Indent
		}
		for _, line := range Wrap(n.Text, first, margin+Indent, width) {
			out.WriteString(line + "\n")
		}
		if n.Try != "" {
			out.WriteString(margin + Indent + n.Try + "\n")
		}
	}
	return out.String()
}
