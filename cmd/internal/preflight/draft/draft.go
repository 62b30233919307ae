// Package draft writes a first configuration for a Postgres database: an allowlist that names every table and column,
// with a guess of what is private.
package draft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	pretty "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/schemas"
)

// Draft is the tables that were found and the config that would be written.
type Draft struct {
	// Tables are all of the database's, ordered by name.
	Tables []*Table
	// Text is the config file.
	Text string
	// Export names an environment variable that the file refers to and that is not set here; "" for none.
	Export string
	// Escaped says that the password was percent-encoded in the address, and has to be so in the variable.
	Escaped bool
}

// Make reads the database at source (as --source gives it) and drafts a configuration. It changes nothing. An error is
// cdc.ErrUnreachable, cdc.ErrRefused, or says what is wrong with source.
func Make(ctx context.Context, source string) (*Draft, error) {
	a, err := parseAddress(source)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	db, err := read(ctx, a.connects)
	if err != nil {
		return nil, err
	}
	if len(db.tables) == 0 {
		return nil, cdc.Failed("database %s has no table that this role sees, so nothing was written", db.name).Fix("another database in --source")
	}
	f := &file{source: a.written, clickhouse: "clickhouse://dirtbike:${env:CLICKHOUSE_PASSWORD}@ch:9000", name: db.name, prefix: nameOf(db.name), tables: db.tables}
	if a.hidden {
		f.notes = []string{"The password is not written here: the environment variable PGPASSWORD holds it."}
	}
	if err := f.leaveOut(ctx, a.connects); err != nil {
		return nil, err
	}
	d := &Draft{Tables: db.tables, Text: f.text(), Escaped: a.escaped}
	if strings.Contains(a.written, passwordReference) && os.Getenv("PGPASSWORD") == "" {
		d.Export = "PGPASSWORD"
	}
	return d, nil
}

// leaveOut leaves out what dirtbike's own checks refuse, until they refuse nothing.
func (f *file) leaveOut(ctx context.Context, url string) error {
	for f.nameable(); ; {
		if !slices.ContainsFunc(f.tables, func(t *Table) bool { return t.Obstacle == nil }) {
			p := cdc.Failed("no table of database %s can be captured, so nothing was written: %s: %s", f.name, f.tables[0].FullName(), f.tables[0].Obstacle.What)
			p.Try = slices.DeleteFunc(f.tables[0].Obstacle.Remedies(), func(r cdc.Remedy) bool { return strings.Contains(r.Command, "source.keys") }) // there is no config yet
			return p.OrFix("give it a primary key")
		}
		refused, err := f.refused(ctx, url)
		if err != nil || len(refused) == 0 {
			return err
		}
		for _, t := range f.tables {
			t.Obstacle = cmp.Or(t.Obstacle, refused[t.FullName()])
		}
	}
}

// nameable leaves out tables that a config cannot name.
func (f *file) nameable() {
	for _, t := range f.tables {
		why := unnameable(t)
		if t.Obstacle != nil {
			continue
		}
		if why == "" && !slices.ContainsFunc(t.relation.Columns, func(c schemas.Column) bool { return c.Name != "*" }) {
			why = "its only column cannot be named in the config"
		}
		if why != "" {
			t.Obstacle = cdc.Failed("%s", why)
		}
	}
}

// unnameable says why a config cannot name the table; "" if it can.
func unnameable(t *Table) string {
	switch {
	case strings.ContainsAny(t.Schema, ".*?"):
		return "the config cannot name a schema with . * or ? in its name"
	case strings.HasPrefix(t.Schema, "!"):
		return "the config takes ! in front of a name for an exclusion"
	case strings.ContainsAny(t.Name, "*?"):
		return "the config cannot name a table with * or ? in its name"
	case strings.Contains(t.FullName(), "${"):
		return "the config takes ${ in a name for a reference"
	}
	return ""
}

// refused asks the catalog package what it would refuse at a start, by "schema.table".
func (f *file) refused(ctx context.Context, url string) (map[string]*cdc.Problem, error) {
	trial := *f
	trial.source, trial.clickhouse = strings.ReplaceAll(url, "${", "$${"), "clickhouse://ch:9000"
	c, err := config.Parse(filepath.Join("dirtbike init", "draft"), []byte(trial.text())) // a folder that is not there: no key is in it
	if err != nil {
		return nil, fmt.Errorf("the draft does not load: %w", err)
	}
	t, err := pipeline.NewTrial(c, nil) // no encoder is made, so that no registry is asked
	if err != nil {
		return nil, err
	}
	listed, err := t.Tables.List(ctx)
	if err != nil {
		return nil, readError("read the tables", err)
	}
	if misnamed := t.Tables.UnmatchedNames(); len(misnamed) > 0 {
		return nil, fmt.Errorf("the draft does not fit the database: %w", errors.Join(misnamed...))
	}
	return refusals(listed), nil
}

// refusals says why tables cannot be begun. Of those that share a name the first may keep it.
func refusals(listed []*cdc.Table) map[string]*cdc.Problem {
	out, sharing, first := map[string]*cdc.Problem{}, map[string]int{}, map[string]bool{}
	for _, t := range listed {
		if t.BlocksStart != nil {
			sharing[cdc.Explain(t.BlocksStart).What]++
		}
	}
	for _, t := range listed {
		switch blocked := cdc.Explain(t.BlocksStart); {
		case t.Refused != nil:
			out[t.FullName()] = cdc.Explain(t.Refused)
		case blocked == nil:
		case first[blocked.What] || sharing[blocked.What] == 1:
			out[t.FullName()] = blocked
		default:
			first[blocked.What] = true
		}
	}
	return out
}

// Write puts the text into the file, readable by its owner alone. Without force it makes a new file only: an error
// wraps os.ErrExist if there is one. With force a former file is replaced at once, or not at all.
func Write(path, text string, force bool) error {
	if !force {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return fill(f, text)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".dirtbike-init-*") // mode 600
	if err != nil {
		return err
	}
	if err = fill(f, text); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

func fill(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// noteWidth is where a note goes on in the next line.
const noteWidth = 60

// WriteText writes the tables for people.
func (d *Draft) WriteText(w io.Writer) error {
	t := console.NewTable(pretty.Row{"TABLE", "SIZE", "ROWS, ABOUT", "KEY", "REPLICA IDENTITY", "IN THE WAY"})
	right := prettytext.AlignRight
	t.SetColumnConfigs([]pretty.ColumnConfig{{Number: 2, Align: right}, {Number: 3, Align: right}, console.AtMost(6, noteWidth)})
	for _, table := range d.Tables {
		notes := table.Notes
		if table.Obstacle != nil {
			notes = append([]string{"left out: " + table.Obstacle.What}, notes...)
		}
		t.AppendRow(pretty.Row{
			console.Printable(table.FullName()), size(table.Bytes), estimate(table.Rows),
			console.Printable(strings.Join(table.Key, ", ")), console.Printable(table.Identity), console.Printable(strings.Join(notes, "; ")),
		})
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

// Left gives how many tables the file leaves out.
func (d *Draft) Left() (left int) {
	for _, t := range d.Tables {
		if t.Obstacle != nil {
			left++
		}
	}
	return left
}

func size(bytes int64) string {
	if bytes < 0 {
		return "?"
	}
	return humanize.IBytes(uint64(bytes))
}

func estimate(rows int64) string {
	if rows < 0 {
		return "?"
	}
	return humanize.Comma(rows)
}
