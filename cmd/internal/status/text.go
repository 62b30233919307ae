package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/console"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
)

// WriteText writes a table for people, as wide as Width.
func (s Status) WriteText(w io.Writer) error {
	if _, err := fmt.Fprintln(w, console.Printable(s.headline())); err != nil {
		return err
	}
	if s.kafka != nil {
		if _, err := fmt.Fprintln(w, console.Printable(s.kafka.Error())); err != nil {
			return err
		}
	}
	if len(s.Tables) > 0 {
		if err := s.writeTables(w, console.Width(w)); err != nil {
			return err
		}
	}
	return s.writeReferences(w)
}

// writeReferences names the commands that explain what is not as it should be.
func (s Status) writeReferences(w io.Writer) error {
	var where []string
	for _, about := range []struct {
		slug string
		is   bool
	}{{"kafka", s.kafka != nil}, {"slot", s.capture != nil}, {"tables", s.tablesProblem() != nil}, {"exact", s.inexact() != nil}} {
		if c, known := checks.Find(about.slug); known && about.is {
			where = append(where, c.Reference())
		}
	}
	if len(where) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, "see "+strings.Join(where, ", "))
	return err
}

// headline says the whole pipeline's state in one line.
func (s Status) headline() string {
	line := "phase " + s.Phase
	if s.capture != nil {
		line = s.capture.What
	}
	if s.LagBytes == nil {
		line += " · ClickHouse is not complete up to anything yet"
	} else {
		line += " · ClickHouse is " + size(s.LagBytes) + ", " + age(s.LagSeconds) + " behind"
	}
	if s.capture != nil {
		return line + s.headroomText()
	}
	if s.RetainedWALBytes == nil {
		return line + " · there is no slot"
	}
	return line + " · Postgres keeps " + size(s.RetainedWALBytes) + " of log for the slot" + s.headroomText()
}

func size(bytes *int64) string {
	if bytes == nil {
		return "unknown"
	}
	return humanize.IBytes(uint64(max(*bytes, 0)))
}

func age(seconds *float64) string {
	switch {
	case seconds == nil:
		return "unknown"
	case *seconds < 60:
		return strconv.FormatFloat(*seconds, 'f', 1, 64) + " s"
	}
	return (time.Duration(*seconds) * time.Second).String()
}

// writeTables writes the tables with their notes beside them; or with the notes below, where they are too long for
// that; or as a list, where the names alone are.
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
	header := table.Row{"TABLE", "PHASE", "ROWS", "EXACT", "DEAD LETTERS"}
	if notes {
		header = append(header, "NOTE")
	}
	t := console.NewTable(header, 3, 5)
	for i := range s.Tables {
		row := &s.Tables[i]
		exact := "no"
		if row.Exact {
			exact = "yes"
		}
		cells := table.Row{console.Printable(row.Table), console.Printable(row.Phase), humanize.Comma(row.Rows), exact, row.DeadLetters}
		if notes {
			cells = append(cells, console.OneLine(row.notes()))
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
		if notes := row.notes(); len(notes) > 0 {
			notes[0].Text = "NOTE " + console.Printable(row.Table) + ": " + notes[0].Text
			out.WriteString(console.Lay(notes, "", width))
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
		notes := row.notes()
		if len(notes) > 0 {
			notes[0].Text = "NOTE: " + notes[0].Text
		}
		counts := console.Note{Text: console.Printable(row.Phase) + " · " + humanize.Comma(row.Rows) + " rows" + exact + dead}
		out.WriteString(console.Printable(row.Table) + "\n")
		out.WriteString(console.Lay(append([]console.Note{counts}, notes...), console.Indent, width))
	}
	return out.String()
}

// notes are what is said of the table, one for each problem; nil if nothing is.
func (t *TableStatus) notes() (notes []console.Note) {
	for _, p := range t.problems {
		notes = append(notes, console.NoteOf(p))
	}
	if exact := t.exactTexts(); exact != "" {
		notes = append(notes, console.Note{Text: console.Printable(exact)})
	}
	return notes
}
