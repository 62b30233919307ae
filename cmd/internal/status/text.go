package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/console"
)

// WriteText writes a table for people, as wide as Width.
func (s Status) WriteText(w io.Writer) error {
	text := console.Printable(s.headline()) + "\n"
	if s.Privacy != nil {
		text += console.Printable(s.Privacy.Summary) + "\n"
		if s.Privacy.warning != nil {
			text += console.Printable(s.Privacy.warning.Error()) + "\n"
		}
	}
	for _, line := range s.Exposed {
		text += console.Printable(line) + "\n"
	}
	if s.kafka != nil {
		text += console.Printable(s.kafka.What) + "\n" // the verb's error has the rest
	}
	if s.Waits != "" {
		text += console.Printable(s.Waits) + "\n"
	}
	if foreign := s.foreign(); foreign != nil {
		text += console.Printable(foreign.Error()) + "\n"
	}
	if s.strangers != nil {
		text += console.Printable(s.strangers.What) + "\n" // as above
	}
	if s.Taken != "" {
		text += console.Printable(s.Taken) + "\n"
	}
	if len(s.Tables) > 0 {
		text += s.tables(console.Width(w))
	}
	_, err := io.WriteString(w, text+s.references())
	return err
}

// references names the commands that explain the problems.
func (s Status) references() string {
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
		return ""
	}
	return "see " + strings.Join(where, ", ") + "\n"
}

// headline says the whole pipeline's state in one line.
func (s Status) headline() string {
	line, late := "phase "+s.Phase, " · ClickHouse is not complete up to anything yet"
	switch {
	case s.clickHouseAway:
		late = " · ClickHouse did not answer: what its tables have, and the lag, are not known"
	case s.postgresAway:
		late = ""
	case s.LagBytes != nil:
		late = " · ClickHouse is " + size(*s.LagBytes) + ", " + age(*s.LagSeconds) + " behind"
	}
	if s.Progress != "" {
		late = " · " + s.Progress + late
	}
	switch {
	case s.postgresAway:
		return line + " · Postgres did not answer: the slot and the log that it retains are not known" + late
	case s.capture != nil:
		return s.capture.What + late + s.headroomText()
	case s.RetainedWALBytes == nil:
		return line + late + " · there is no slot"
	}
	return line + late + " · Postgres keeps " + size(*s.RetainedWALBytes) + " of log for the slot" + s.headroomText()
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

func age(seconds float64) string {
	if seconds < 60 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return (time.Duration(seconds) * time.Second).String()
}

// tables have their notes in a column, or below where these are too long; or are a list, where the names are.
func (s Status) tables(width int) string {
	for _, text := range []string{s.rendered(true), s.rendered(false) + s.notes(width)} {
		rendered, _, _ := strings.Cut(text, "\n") // the first line is as wide as any of the table
		if prettytext.StringWidthWithoutEscSequences(rendered) <= width {
			return text
		}
	}
	return s.list(width)
}

func (s Status) rendered(notes bool) string {
	header := table.Row{"TABLE", "PHASE", "ROWS", "EXACT", "DEAD LETTERS"}
	if notes {
		header = append(header, "NOTE")
	}
	t := console.NewTable(header, 3, 5)
	for i := range s.Tables {
		row := &s.Tables[i]
		cells := table.Row{console.Printable(row.Table), console.Printable(row.Phase), row.rowsText(), s.exactText(row, "yes", "no", "not known"), row.DeadLetters}
		if notes {
			cells = append(cells, console.Joined(row.notes()))
		}
		t.AppendRow(cells)
	}
	return t.Render() + "\n"
}

// exactText says whether a table is exact, which only ClickHouse knows.
func (s Status) exactText(t *TableStatus, yes, no, unknown string) string {
	switch {
	case s.clickHouseAway:
		return unknown
	case t.Exact:
		return yes
	}
	return no
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
		exact := s.exactText(row, " · exact", " · not exact", "")
		dead := ""
		if row.DeadLetters > 0 {
			dead = " · " + strconv.FormatInt(row.DeadLetters, 10) + " dead letters"
		}
		notes := row.notes()
		if len(notes) > 0 {
			notes[0].Text = "NOTE: " + notes[0].Text
		}
		counts := console.Note{Text: console.Printable(row.Phase) + " · " + row.rowsText() + " rows" + exact + dead}
		out.WriteString(console.Printable(row.Table) + "\n")
		out.WriteString(console.Lay(append([]console.Note{counts}, notes...), console.Indent, width))
	}
	return out.String()
}

// notes are the table's notes, one for each problem; nil if there are none.
func (t *TableStatus) notes() (notes []console.Note) {
	for _, p := range t.problems {
		note := console.NoteOf(p)
		note.Try = cdc.StopFirst(note.Try)
		notes = append(notes, note)
	}
	if t.FormerRecords > 0 {
		notes = append(notes, console.NoteOf(cdc.Failed("its topic still has about %s records from before its present copy, written under the policies that applied then",
			humanize.Comma(t.FormerRecords)).Fix("%s", cdc.PurgeCommand(t.Table))))
	}
	if exact := t.exactTexts(); exact != "" {
		notes = append(notes, console.Note{Text: console.Printable(exact)})
	}
	return notes
}
