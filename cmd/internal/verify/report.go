package verify

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/jedib0t/go-pretty/v6/table"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
)

// Report is what `dirtbike verify --json` prints. Names and order of its fields are a contract.
type Report struct {
	// Equal says that every table is.
	Equal bool `json:"equal"`
	// Epoch and LSN ("16/B374D848") are the source's position when its last chunk was read; ClickHouse was complete up
	// to it.
	Epoch uint32 `json:"epoch"`
	LSN   string `json:"lsn"`
	// Tables in the order of their names; never null.
	Tables []TableReport `json:"tables"`
}

// TableReport is one table of a Report.
type TableReport struct {
	// Table is "schema.table", the source's names.
	Table string `json:"table"`
	// RowsSource and RowsSink are the rows read on each side. Chunks are read at different moments, so in a table that
	// is being written to they may differ although it is equal.
	RowsSource int64 `json:"rows_source"`
	RowsSink   int64 `json:"rows_sink"`
	// Equal is false also for a table that is not exact and therefore could not be compared.
	Equal bool `json:"equal"`
	// DifferingKeys counts keys whose row is missing, too much or different on the other side.
	DifferingKeys int64 `json:"differing_keys"`
	// Reason says, for people, why the table could not be compared, nil if it was; it is not part of the JSON form.
	Reason *cdc.Problem `json:"-"`
}

// WriteJSON writes the documented form.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes a table for people, why tables could not be compared, and a sentence.
func (r Report) WriteText(w io.Writer) error {
	t := console.NewTable(table.Row{"TABLE", "ROWS IN POSTGRES", "ROWS IN CLICKHOUSE", "DIFFERING KEYS", "EQUAL"}, 2, 3, 4)
	why := ""
	for _, row := range r.Tables {
		name := console.Printable(row.Table)
		if !row.Equal && row.Reason != nil {
			t.AppendRow(table.Row{name, "-", "-", "-", "not compared"})
			why += name + " could not be compared: " + console.Printable(row.Reason.Error()) + "\n"
			continue
		}
		answer := "yes"
		if !row.Equal {
			answer = "NO"
		}
		t.AppendRow(table.Row{name, humanize.Comma(row.RowsSource), humanize.Comma(row.RowsSink), humanize.Comma(row.DifferingKeys), answer})
	}
	_, err := fmt.Fprintf(w, "%s\n%s%s (epoch %d, %s)\n", t.Render(), why, r.sentence(), r.Epoch, r.LSN)
	return err
}

// counts of tables, and of the rows of those that were compared.
func (r Report) counts() (differ, uncompared int, rows int64) {
	for _, t := range r.Tables {
		switch {
		case t.Reason != nil:
			uncompared++
			continue
		case !t.Equal:
			differ++
		}
		rows += t.RowsSource
	}
	return differ, uncompared, rows
}

func (r Report) sentence() string {
	differ, uncompared, rows := r.counts()
	compared := fmt.Sprintf("%s, %s rows", tables(len(r.Tables)-uncompared), humanize.Comma(rows))
	verdict := " equal"
	if differ > 0 {
		verdict = fmt.Sprintf(" compared: %d NOT equal", differ)
	}
	if uncompared > 0 {
		verdict += fmt.Sprintf("; %s could not be compared", tables(uncompared))
	}
	return compared + verdict
}

func tables(n int) string { return english.Plural(n, "table", "") }

// Err is nil if every table is equal; otherwise it distinguishes a difference from tables that could not be compared.
func (r Report) Err() error {
	differ, uncompared, _ := r.counts()
	switch {
	case differ > 0 && uncompared > 0:
		return cdc.Failed("ClickHouse differs from Postgres in %s, and %s could not be compared", tables(differ), tables(uncompared))
	case differ > 0:
		return cdc.Failed("ClickHouse differs from Postgres in %s", tables(differ))
	case uncompared > 0:
		return cdc.Failed("%s could not be compared", tables(uncompared)).Fix("dirtbike status")
	}
	return nil
}

// add appends a table's result.
func (r *Report) add(t TableReport, epoch uint32, at cdc.LSN) {
	r.Tables = append(r.Tables, t)
	r.Equal = r.Equal && t.Equal
	if at > 0 {
		r.Epoch, r.LSN = epoch, at.String()
	}
}
