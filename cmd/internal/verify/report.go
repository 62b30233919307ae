package verify

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"dirtbike/cdc"
)

// Report is what `dirtbike verify --json` prints. Names and order of its fields are a contract.
type Report struct {
	// Equal says that every table is.
	Equal bool `json:"equal"`
	// Epoch and LSN ("16/B374D848") are the source's position when its last chunk was read; ClickHouse was complete up to it.
	Epoch uint32 `json:"epoch"`
	LSN   string `json:"lsn"`
	// Tables in the order in which they were compared; never null.
	Tables []TableReport `json:"tables"`
}

// TableReport is one table of a Report.
type TableReport struct {
	// Table is "schema.table", the source's names.
	Table string `json:"table"`
	// RowsSource and RowsSink are the rows read on each side. Chunks are read at different moments, so in a table that is
	// being written to they may differ although it is equal.
	RowsSource int64 `json:"rows_source"`
	RowsSink   int64 `json:"rows_sink"`
	// Equal is false also for a table that is not exact and therefore could not be compared.
	Equal bool `json:"equal"`
	// DifferingKeys counts keys whose row is missing, too much or different on the other side.
	DifferingKeys int64 `json:"differing_keys"`
	// Reason says, for people, why the table could not be compared; it is not part of the JSON form.
	Reason string `json:"-"`
}

// WriteJSON writes the documented form.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes a table for people and a sentence.
func (r Report) WriteText(w io.Writer) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"TABLE", "ROWS IN POSTGRES", "ROWS IN CLICKHOUSE", "DIFFERING KEYS", "EQUAL"})
	right := text.AlignRight
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: right}, {Number: 3, Align: right}, {Number: 4, Align: right}})
	var rows int64
	for _, row := range r.Tables {
		rows += row.RowsSource
		answer := "yes"
		switch {
		case row.Reason != "":
			answer = "not compared: " + row.Reason
		case !row.Equal:
			answer = "NO"
		}
		t.AppendRow(table.Row{row.Table, humanize.Comma(row.RowsSource), humanize.Comma(row.RowsSink), humanize.Comma(row.DifferingKeys), answer})
	}
	verdict := "equal"
	if !r.Equal {
		verdict = "compared: NOT equal"
	}
	_, err := fmt.Fprintf(w, "%s\n%d tables, %s rows %s (epoch %d, %s)\n", t.Render(), len(r.Tables), humanize.Comma(rows), verdict, r.Epoch, r.LSN)
	return err
}

// add appends a table's result.
func (r *Report) add(t TableReport, at position) {
	r.Tables = append(r.Tables, t)
	r.Equal = r.Equal && t.Equal
	if at.lsn > 0 {
		r.Epoch, r.LSN = at.epoch, at.lsn.String()
	}
}

// position is a place in the log of one history of the source.
type position struct {
	epoch uint32
	lsn   cdc.LSN
}

// before reports whether p comes before q.
func (p position) before(q position) bool {
	return p.epoch < q.epoch || p.epoch == q.epoch && p.lsn < q.lsn
}
