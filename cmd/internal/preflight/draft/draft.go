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

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/schemas"

	"github.com/dustin/go-humanize"
	pretty "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
)

// Draft is what was found and what would be written.
type Draft struct {
	// Database is its name, Tables all of its tables, ordered by name.
	Database string
	Tables   []*Table
	// Text is the config file.
	Text string
	// Export names an environment variable that the file refers to for the password, and that is not set here; "" if
	// there is none.
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
	if err := f.settle(ctx, a.connects); err != nil {
		return nil, err
	}
	d := &Draft{Database: db.name, Tables: db.tables, Text: f.text(), Escaped: a.escaped}
	if strings.Contains(a.written, passwordReference) && !inEnvironment("PGPASSWORD") {
		d.Export = "PGPASSWORD"
	}
	return d, nil
}

// settle leaves out what the product's own checks refuse, until they have nothing to say.
func (f *file) settle(ctx context.Context, url string) error {
	for f.nameable(); ; {
		refused, err := f.refused(ctx, url)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(f.tables, func(t *Table) bool { return t.Obstacle == "" }) {
			return cdc.Failed("no table of database %s can be captured, so nothing was written: %s: %s", f.name, f.tables[0].FullName(), withoutTry(f.tables[0].Obstacle)).
				Fix("give it a primary key")
		}
		if len(refused) == 0 {
			return nil
		}
		for _, t := range f.tables {
			if why := refused[t.FullName()]; why != "" && t.Obstacle == "" {
				t.Obstacle = why
			}
		}
	}
}

// nameable leaves out what a config cannot name.
func (f *file) nameable() {
	for _, t := range f.tables {
		t.Obstacle = cmp.Or(t.Obstacle, unnameable(t))
		if t.Obstacle == "" && !slices.ContainsFunc(t.relation.Columns, func(c schemas.Column) bool { return c.Name != "*" }) {
			t.Obstacle = "its only column cannot be named in the config"
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
	case !globbable(t.Name):
		return "the config cannot name a table with * or ? in its name"
	case strings.Contains(t.FullName(), "${"):
		return "the config takes ${ in a name for a reference"
	}
	return ""
}

// refused asks the catalog package what it would say at a start; every answer is by "schema.table".
func (f *file) refused(ctx context.Context, url string) (map[string]string, error) {
	if !slices.ContainsFunc(f.tables, func(t *Table) bool { return t.Obstacle == "" }) {
		return nil, nil
	}
	trial := *f
	trial.source, trial.clickhouse = strings.ReplaceAll(url, "${", "$${"), "clickhouse://ch:9000"
	c, err := config.Parse(filepath.Join("dirtbike init", "draft"), []byte(trial.text())) // a folder that is not there: no key lies in it
	if err != nil {
		return nil, fmt.Errorf("the draft does not load: %w", err)
	}
	t, err := pipeline.NewTrial(c, nobody{})
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
	out, doubts := map[string]string{}, map[string]bool{}
	for _, table := range listed {
		switch {
		case table.Refused != nil:
			out[table.FullName()] = table.Refused.Error()
		case table.BlocksStart != nil && (doubts[table.BlocksStart.Error()] || alone(listed, table)):
			out[table.FullName()] = table.BlocksStart.Error()
		case table.BlocksStart != nil:
			doubts[table.BlocksStart.Error()] = true // the first of those that share a name may keep it
		}
	}
	return out, nil
}

// alone reports whether nobody else has the table's doubt.
func alone(listed []*cdc.Table, table *cdc.Table) bool {
	for _, other := range listed {
		if other != table && other.BlocksStart != nil && other.BlocksStart.Error() == table.BlocksStart.Error() {
			return false
		}
	}
	return true
}

// nobody is a registry that nobody asks: no encoder is made.
type nobody struct{}

func (nobody) Register(context.Context, string, string) (int, error) { return 0, schemas.ErrNoSchema }
func (nobody) Schema(context.Context, int) (string, error)           { return "", schemas.ErrNoSchema }

// Write puts the text into the file, readable by its owner alone. Without force it makes a new file only: an error
// wraps os.ErrExist if there is one. With force a former file is replaced at once, or not at all.
func Write(path, text string, force bool) (err error) {
	if !force {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, text)
		return errors.Join(err, f.Sync(), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".dirtbike-init-*") // mode 600
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
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
		if table.Obstacle != "" {
			notes = append([]string{"left out: " + withoutTry(table.Obstacle)}, notes...)
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
		if t.Obstacle != "" {
			left++
		}
	}
	return left
}

func withoutTry(s string) string {
	what, _, _ := strings.Cut(s, ". Try: ")
	return what
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
