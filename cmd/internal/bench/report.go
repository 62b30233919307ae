package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Report is the result of a run.
type Report struct {
	Began       time.Time
	Took        time.Duration
	Command     string
	Machine     Machine
	Versions    []Fact
	Tables      []TableFacts
	Comparisons []Comparison
	Tried       []Tried
	Latency     *Latency // nil: not measured
	Memory      []Memory
	Against     string   // the other build's program
	Builds      []Builds // figures of both builds
}

// Fact is a name and its value, as text.
type Fact struct{ Name, Value string }

// TableFacts describe a table of the run; bytes are per row, on average.
type TableFacts struct {
	Name                 string
	Columns              int
	Rows                 int64
	CopyBytes, AvroBytes int64
}

// Tried is one pass of the reference with settings that were compared before the measure.
type Tried struct {
	Table    string
	Settings EngineSettings
	Rows     int64
	Took     time.Duration
}

// Memory is the peak resident memory of a process, in bytes.
type Memory struct {
	Process string
	Peak    int64
}

// note adds a version once.
func (r *Report) note(name, version string) {
	for _, f := range r.Versions {
		if f.Name == name {
			return
		}
	}
	r.Versions = append(r.Versions, Fact{name, version})
}

// Faults lists the figures that are worse than promised, one line each.
func (r *Report) Faults() []string {
	var out []string
	for i := range r.Comparisons {
		out = append(out, r.Comparisons[i].faults()...)
	}
	for _, m := range r.Memory {
		if m.Peak >= mostMemory {
			out = append(out, fmt.Sprintf("%s: %s resident, not below %s", m.Process, humanize.Bytes(uint64(m.Peak)), humanize.Bytes(mostMemory)))
		}
	}
	return out
}

// speed gives rows per second, in thousands.
func speed(rows int64, took time.Duration) string {
	return fmt.Sprintf("%.0fk", float64(rows)/took.Seconds()/1000)
}

// Write writes the report as Markdown.
func (r *Report) Write(to io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# dirtbike bench\n\nCommand: `%s`, %s, %.0f s.\n", r.Command, r.Began.UTC().Format("2006-01-02 15:04 UTC"), r.Took.Seconds())
	if faults := r.Faults(); len(faults) > 0 {
		b.WriteString("\nBelow what is promised:\n\n- " + strings.Join(faults, "\n- ") + "\n")
	} else {
		b.WriteString("Every bound is met.\n")
	}
	m := r.Machine
	facts := []Fact{
		{"CPU", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)}, {"memory", humanize.IBytes(m.Memory)},
		{"system", fmt.Sprintf("%s, kernel %s", m.OS, m.Kernel)}, {"load before", m.Load},
	}
	writeTable(&b, "## Machine", "|", append(facts, r.Versions...), func(f Fact) string { return f.Name + " | " + f.Value })
	b.WriteString("\nEverything runs on this machine, the engines next to what is measured.\n")
	writeTable(&b, "## Tables", "table | columns | rows | bytes per row, COPY binary | bytes per record, Avro key and envelope", r.Tables, func(t TableFacts) string {
		return fmt.Sprintf("%s | %d | %s | %d | %d", t.Name, t.Columns, count(t.Rows), t.CopyBytes, t.AvroBytes)
	})
	r.writeComparisons(&b)
	writeTable(&b, "## Against another build\n\n"+r.Against+" and this build take turns; figures are those of the turn with the median ratio.",
		"measure | table | figure | other build | this build | ratio | lowest – highest | better is | each turn, in the order they ran", r.Builds, Builds.row)
	writeTable(&b, triedText, "table | settings | rows/s", r.Tried, func(t Tried) string { return fmt.Sprintf("%s | %s | %s", t.Table, t.Settings, speed(t.Rows, t.Took)) })
	r.writeLatency(&b)
	writeTable(&b, "## Memory\n\nThe most that a process had resident (VmHWM); promised: below "+humanize.Bytes(mostMemory)+".", "process | peak", r.Memory,
		func(m Memory) string { return m.Process + " | " + humanize.Bytes(uint64(m.Peak)) }) //nolint:gosec // never negative
	_, err := io.WriteString(to, b.String())
	return err
}

const triedText = `### Settings of the Kafka engine that were tried

The fastest of each table is the reference. Format AvroConfluent; librdkafka reads what is committed; a materialized view takes ` + "`after`" +
	` apart into a ReplacingMergeTree with the columns of dirtbike's own storage. The rows of every pass, of both, are compared by content.`

// writeTable writes a Markdown table after a text, or nothing if it has no rows.
func writeTable[T any](b *strings.Builder, text, head string, list []T, row func(T) string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n\n| %s |\n|%s\n", text, head, strings.Repeat("---|", strings.Count(head, "|")+1))
	for _, one := range list {
		fmt.Fprintf(b, "| %s |\n", row(one))
	}
}

func (r *Report) writeComparisons(b *strings.Builder) {
	writeTable(b, "## Against the reference\n\nReference and product take turns; speeds are those of the pair with the median ratio.",
		"measure | table | rows | reference, rows/s | dirtbike, rows/s | ratio | lowest – highest | promised | allocations per row", r.Comparisons, func(c Comparison) string {
			lowest, highest := c.Pairs.Range()
			p, allocations := c.Pairs.Median(), "–"
			if c.AllocationsCounted {
				allocations = fmt.Sprintf("%.4f", c.perRow())
			}
			return fmt.Sprintf("%s | %s | %s | %s | %s | **%.2f** | %.2f – %.2f | ≥ %.1f | %s", c.Measure, c.name(), count(c.Rows),
				speed(c.Rows, p.Reference), speed(c.Rows, p.Product), p.Ratio(), lowest, highest, c.Least, allocations)
		})
	writeTable(b, "### Each pair, seconds", "measure | table | reference : dirtbike = ratio, in the order they ran", r.Comparisons, func(c Comparison) string {
		var pairs []string
		for _, p := range c.Pairs {
			pairs = append(pairs, fmt.Sprintf("%.3f : %.3f = %.2f", p.Reference.Seconds(), p.Product.Seconds(), p.Ratio()))
		}
		return fmt.Sprintf("%s | %s | %s", c.Measure, c.name(), strings.Join(pairs, "; "))
	})
	writeTable(b, "### What ran", "measure | table | reference | dirtbike", r.Comparisons, func(c Comparison) string {
		return fmt.Sprintf("%s | %s | %s | %s", c.Measure, c.name(), c.Reference, c.Product)
	})
}

// row is the line of the report.
func (f Builds) row() string {
	better, each := "higher", make([]string, len(f.Turns))
	if f.lower {
		better = "lower"
	}
	for i, t := range f.Turns {
		each[i] = fmt.Sprintf("%.4g : %.4g", t.Old, t.New)
	}
	median := f.Turns.Median()
	lowest, highest := f.Turns.Range()
	return fmt.Sprintf("%s | %s | %s | %.4g | %.4g | **%.3f** | %.3f – %.3f | %s | %s", f.measure, f.table, f.unit, median.Old, median.New, median.Ratio(),
		lowest, highest, better, strings.Join(each, "; "))
}

func (r *Report) writeLatency(b *strings.Builder) {
	l := r.Latency
	if l == nil {
		return
	}
	met := "met"
	if l.P99 >= aimedP99 {
		met = "missed"
	}
	text := fmt.Sprintf("## Commit → queryable\n\n%s transactions of one row at %.0f per second (asked for: %d) into a table of %s rows, ",
		count(int64(l.Transactions)), l.Achieved, l.Rate, count(l.Rows)) +
		fmt.Sprintf("from when a transaction is sent to when an answer of the view shows its row; asked every %s. `dirtbike run` with its default settings.", askEvery)
	writeTable(b, text, fmt.Sprintf("p50 | p99 | slowest | aim: p99 below %d ms", aimedP99.Milliseconds()), []*Latency{l}, func(l *Latency) string {
		return fmt.Sprintf("%d ms | %d ms | %d ms | %s", l.P50.Milliseconds(), l.P99.Milliseconds(), l.Max.Milliseconds(), met)
	})
}
