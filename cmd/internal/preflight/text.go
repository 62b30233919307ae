package preflight

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"

	"dirtbike/cmd/internal/console"
)

// marks show the level of a check.
var marks = map[Level]string{LevelOK: "✓", LevelWarning: "!", LevelError: "✗"}

// WriteText writes a table for people, part by part, each followed by the commands that fix what is wrong: they begin
// their lines, so that they can be copied. The tables are as wide as the terminal has room for, the commands as long as
// they are.
func (r Report) WriteText(w io.Writer) error {
	var out strings.Builder
	width := min(console.Width(w), mostWidth)
	for rest := r.Checks; len(rest) > 0; {
		end := slices.IndexFunc(rest, func(c Check) bool { return c.Part != rest[0].Part })
		if end < 0 {
			end = len(rest)
		}
		out.WriteString(tableOf(rest[:end], width) + "\n")
		for _, c := range rest[:end] {
			out.WriteString(c.way())
		}
		out.WriteString("\n")
		rest = rest[end:]
	}
	_, err := io.WriteString(w, out.String()+r.Sentence()+"\n")
	return err
}

// way is printed after the table for a check that failed, warns or advises.
func (c Check) way() string {
	if c.Level == LevelOK && c.Command == "" {
		return ""
	}
	head := fmt.Sprintf("%s %s, %s: dirtbike explain %s\n", marks[c.Level], c.Slug, console.Printable(console.OneLine(c.Subject)), c.Slug)
	command := console.PrintableLines(c.Command)
	switch {
	case command == "":
		return head
	case command != c.Command && kind(c.Command) != "words":
		return head + "  Try: dirtbike check --json, which has the statement: it holds characters that cannot be printed\n"
	}
	return head + c.place() + command + "\n"
}

// place says who runs the command where; a word in front of the next line.
func (c Check) place() string {
	switch kind(c.Command) {
	case "config":
		return "  in the config:\n"
	case "sql":
		if c.Part == partClickHouse {
			return "  in ClickHouse, as " + console.Printable(c.by()) + ":\n"
		}
		who := "  in this database, as " + console.Printable(cmp.Or(c.by(), "a superuser"))
		if heavy(c.Command) {
			who += "; it locks the table while it, or its key's index, is written again: do it in a quiet hour"
		}
		return who + ":\n"
	case "shell":
		return "  in a shell:\n"
	}
	return "  Try: "
}

// sections are the config's; a command that begins with one is YAML for it.
var sections = []string{"source", "kafka", "registry", "clickhouse", "privacy", "ops", "verify"}

// kind recognises a command by its form: config, sql, shell, or words.
func kind(command string) string {
	for _, section := range sections {
		if strings.HasPrefix(command, section+": {") {
			return "config"
		}
	}
	first, _, _ := strings.Cut(command, " ")
	switch {
	case strings.HasSuffix(command, ";"):
		return "sql"
	case strings.HasPrefix(first, "kafka-"), first == "curl", first == "scp", first == "dirtbike":
		return "shell"
	}
	return "words"
}

// Sentence sums the report up in one line.
func (r Report) Sentence() string {
	failed, warnings := r.Counts()
	warned := when(warnings > 0, ", %s", count(warnings, "warning"))
	if failed == 0 {
		return "A start would go well" + warned + ". Next: dirtbike run"
	}
	return count(failed, "check") + " failed" + warned
}

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
