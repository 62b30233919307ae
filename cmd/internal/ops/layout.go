package ops

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

const (
	// usualWidth is how wide a text may be where nobody knows how wide the page is: in a file, a pipe or a ticket.
	usualWidth = 120
	// leastWidth is as narrow as a text gets, on however narrow a terminal.
	leastWidth = 60
)

// Width is how many columns a text for w may take: those of the terminal that it is, or that its Fd names, or else 120; never less than
// 60.
func Width(w io.Writer) int {
	file, is := w.(interface{ Fd() uintptr })
	if !is {
		return usualWidth
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return usualWidth // it is no terminal, or does not know its size
	}
	return max(width, leastWidth)
}

// writeTables writes the tables with their notes beside them; or with the notes below, where they are too long for that; or as a list,
// where the names alone are.
func (s Status) writeTables(w io.Writer, width int) error {
	for _, text := range []string{s.rendered(true), s.rendered(false) + s.notes(width)} {
		rendered, _, _ := strings.Cut(text, "\n") // the first line is as wide as any of the table
		if prettytext.StringWidthWithoutEscSequences(rendered) <= width {
			_, err := fmt.Fprint(w, text)
			return err
		}
	}
	_, err := fmt.Fprint(w, s.list(width))
	return err
}

func (s Status) rendered(notes bool) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	right := prettytext.AlignRight
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, Align: right}, {Number: 5, Align: right}})
	header := table.Row{"TABLE", "PHASE", "ROWS", "EXACT", "DEAD LETTERS"}
	if notes {
		header = append(header, "NOTE")
	}
	t.AppendHeader(header)
	for i := range s.Tables {
		row := &s.Tables[i]
		exact := "no"
		if row.Exact {
			exact = "yes"
		}
		cells := table.Row{Printable(row.Table), Printable(row.Phase), humanize.Comma(row.Rows), exact, row.DeadLetters}
		if notes {
			cells = append(cells, strings.Join(row.note(), "; "))
		}
		t.AppendRow(cells)
	}
	return t.Render() + "\n"
}

// notes gives the notes of all tables, each under its table's name.
func (s Status) notes(width int) string {
	var out strings.Builder
	for i := range s.Tables {
		row := &s.Tables[i]
		if note := row.note(); len(note) > 0 {
			note[0] = "NOTE " + Printable(row.Table) + ": " + note[0]
			out.WriteString(laidOut(note, "", width))
		}
	}
	return out.String()
}

// list has a paragraph for each table.
func (s Status) list(width int) string {
	var out strings.Builder
	for i := range s.Tables {
		row := &s.Tables[i]
		exact := " · not exact"
		if row.Exact {
			exact = " · exact"
		}
		dead := ""
		if row.DeadLetters > 0 {
			dead = " · " + strconv.FormatInt(row.DeadLetters, 10) + " dead letters"
		}
		note := row.note()
		if len(note) > 0 {
			note[0] = "NOTE: " + note[0]
		}
		out.WriteString(Printable(row.Table) + "\n")
		out.WriteString(laidOut(append([]string{Printable(row.Phase) + " · " + humanize.Comma(row.Rows) + " rows" + exact + dead}, note...), indent, width))
	}
	return out.String()
}

// legs is where the reason of the other leg begins.
var legs = regexp.MustCompile(`; (?:capture|load): `)

// note is what is said of the table, one text for each thing; nil if nothing is.
func (t *TableStatus) note() (note []string) {
	reason := Printable(t.Reason)
	for {
		at := legs.FindStringIndex(reason)
		if at == nil {
			break
		}
		note, reason = append(note, reason[:at[0]]), reason[at[0]+2:]
	}
	for _, last := range []string{reason, Printable(t.inexact())} {
		if last != "" {
			note = append(note, last)
		}
	}
	return note
}

const indent = "  "

// laidOut writes texts in lines of that width, each way out in a line of its own, which is never broken: it is to be copied.
func laidOut(texts []string, margin string, width int) string {
	var out strings.Builder
	for i, text := range texts {
		first := margin
		if i > 0 && margin == "" {
			first = indent
		}
		ways := append(way.FindAllStringIndex(text, -1), []int{len(text)})
		for _, line := range wrapped(text[:ways[0][0]], first, margin+indent, width) {
			out.WriteString(line + "\n")
		}
		for j, at := range ways[:len(ways)-1] {
			out.WriteString(margin + indent + text[at[0]+1:ways[j+1][0]] + "\n")
		}
	}
	return out.String()
}

// wrapped breaks a text between words; one that is wider than a line, as a long name, stays whole.
func wrapped(text, first, next string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = first + word
		case prettytext.StringWidthWithoutEscSequences(line+" "+word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), next+word
		}
	}
	return append(lines, line)
}
