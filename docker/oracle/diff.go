package oracle

import (
	"fmt"
	"strings"
)

// SampleKind says in what way a row is wrong.
type SampleKind string

// The ways.
const (
	Missing   SampleKind = "missing"   // in Postgres, not in ClickHouse
	Extra     SampleKind = "extra"     // in ClickHouse, not in Postgres
	Duplicate SampleKind = "duplicate" // its key is in ClickHouse more than once
	Differing SampleKind = "differing" // a cell is not what it should be
)

// Sample is one wrong row, or one wrong cell of it. It holds values: synthetic data only.
type Sample struct {
	Kind SampleKind
	Key  string // `column="text"`, joined by blanks
	// Column, Postgres (what is expected) and ClickHouse (what is shown) are set for Differing only.
	Column, Postgres, ClickHouse string
}

// String is the sample on one line.
func (s Sample) String() string {
	if s.Kind != Differing {
		return fmt.Sprintf("%s %s", s.Kind, s.Key)
	}
	return fmt.Sprintf("%s %s column %q: expected %s, have %s", s.Kind, s.Key, s.Column, s.Postgres, s.ClickHouse)
}

// Diff is what Compare found.
type Diff struct {
	// Table is "schema.name", View "database.name".
	Table, View string
	// Compared is false if the view's columns are so different that no row was compared.
	Compared bool
	// RowsPostgres and RowsClickHouse count the rows read.
	RowsPostgres, RowsClickHouse int
	// Wrong counts rows; Duplicate counts those beyond the first of a key.
	Wrong map[SampleKind]int
	// Columns says what is wrong with the view's columns: names, order, types, `_inexact`.
	Columns []string
	// Samples are the first wrong rows and cells.
	Samples []Sample
}

// Equal reports whether nothing is wrong.
func (d Diff) Equal() bool { return d.Compared && len(d.Wrong)+len(d.Columns) == 0 }

// String writes what was found, samples included, in several lines.
func (d Diff) String() string {
	if d.Equal() {
		return fmt.Sprintf("%s = %s: %d rows equal", d.Table, d.View, d.RowsPostgres)
	}
	lines := []string{fmt.Sprintf("%s ≠ %s: %d rows in Postgres, %d in ClickHouse; wrong: %v", d.Table, d.View, d.RowsPostgres, d.RowsClickHouse, d.Wrong)}
	lines = append(lines, d.Columns...)
	for _, s := range d.Samples {
		lines = append(lines, s.String())
	}
	return strings.Join(lines, "\n  ")
}

// add counts a wrong row and keeps it as a sample.
func (d *Diff) add(kind SampleKind, key string) {
	d.Wrong[kind]++
	d.sample(Sample{Kind: kind, Key: key})
}

// maxSamples bounds Diff.Samples.
const maxSamples = 20

// sample keeps a sample while there is room.
func (d *Diff) sample(s Sample) {
	if len(d.Samples) < maxSamples {
		d.Samples = append(d.Samples, s)
	}
}
