package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Report is what a run found.
type Report struct {
	Began       time.Time
	Took        time.Duration
	Command     string
	Kafka       string
	Machine     Machine
	Versions    []Fact
	Tables      []*TableFacts
	Comparisons []Comparison
	Tried       []Tried
	Latency     *Latency // nil: not measured
	Memory      []Memory
	Against     string   // the other build's program
	Builds      []Builds // what both were measured by
}

// Fact is a name and what is said of it.
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

// Memory is the most that a process had resident, in bytes.
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

// Faults says what is below what is promised, one line each.
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
	b.WriteString("# dirtbike bench\n\n")
	fmt.Fprintf(&b, "Command: `%s`, %s, %.0f s.\n", r.Command, r.Began.UTC().Format("2006-01-02 15:04 UTC"), r.Took.Seconds())
	r.writeAnswer(&b)
	r.writeMachine(&b)
	r.writeTables(&b)
	r.writeComparisons(&b)
	r.writeBuilds(&b)
	r.writeTried(&b)
	r.writeLatency(&b)
	r.writeMemory(&b)
	_, err := io.WriteString(to, b.String())
	return err
}

func (r *Report) writeAnswer(b *strings.Builder) {
	faults := r.Faults()
	if len(faults) == 0 {
		b.WriteString("Every bound is met.\n")
		return
	}
	b.WriteString("\nBelow what is promised:\n\n")
	for _, f := range faults {
		b.WriteString("- " + f + "\n")
	}
}

func (r *Report) writeMachine(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "\n## Machine\n\n| | |\n|---|---|\n| CPU | %s, %d cores |\n| memory | %s |\n| system | %s, kernel %s |\n| load before | %s |\n",
		m.CPU, m.Cores, humanize.IBytes(m.Memory), m.OS, m.Kernel, m.Load)
	for _, v := range r.Versions {
		fmt.Fprintf(b, "| %s | %s |\n", v.Name, v.Value)
	}
	b.WriteString("\nEverything runs on this machine, the engines beside what is measured.\n")
}

func (r *Report) writeTables(b *strings.Builder) {
	if len(r.Tables) == 0 {
		return
	}
	b.WriteString("\n## Tables\n\n| table | columns | rows | bytes per row, COPY binary | bytes per record, Avro key and envelope |\n|---|---|---|---|---|\n")
	for _, t := range r.Tables {
		fmt.Fprintf(b, "| %s | %d | %s | %d | %d |\n", t.Name, t.Columns, count(t.Rows), t.CopyBytes, t.AvroBytes)
	}
}

func (r *Report) writeComparisons(b *strings.Builder) {
	if len(r.Comparisons) == 0 {
		return
	}
	b.WriteString("\n## Against the reference\n\nReference and product take turns; speeds are those of the pair with the median ratio.\n\n" +
		"| measure | table | rows | reference, rows/s | dirtbike, rows/s | ratio | lowest – highest | promised | allocations per row |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		lowest, highest := c.Range()
		p, allocations := c.Median(), "–"
		if c.AllocationsCounted {
			allocations = fmt.Sprintf("%.4f", c.perRow())
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | **%.2f** | %.2f – %.2f | ≥ %.1f | %s |\n", c.Measure, c.name(), count(c.Rows),
			speed(c.Rows, p.Reference), speed(c.Rows, p.Product), p.Ratio(), lowest, highest, c.Least, allocations)
	}
	b.WriteString("\n### Each pair, seconds\n\n| measure | table | reference : dirtbike = ratio, in the order they ran |\n|---|---|---|\n")
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		var pairs []string
		for _, p := range c.Pairs {
			pairs = append(pairs, fmt.Sprintf("%.3f : %.3f = %.2f", p.Reference.Seconds(), p.Product.Seconds(), p.Ratio()))
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", c.Measure, c.name(), strings.Join(pairs, "; "))
	}
	b.WriteString("\n### What ran\n\n| measure | table | reference | dirtbike |\n|---|---|---|---|\n")
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", c.Measure, c.name(), c.Reference, c.Product)
	}
}

func (r *Report) writeBuilds(b *strings.Builder) {
	if len(r.Builds) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Against another build\n\n%s and this build take turns; figures are those of the turn with the median ratio.\n\n"+
		"| measure | table | figure | other build | this build | ratio | lowest – highest | better is | each turn, in the order they ran |\n|---|---|---|---|---|---|---|---|---|\n", r.Against)
	for i := range r.Builds {
		f := &r.Builds[i]
		turns, better := f.Sorted(), "higher"
		if f.Lower {
			better = "lower"
		}
		median, each := turns[(len(turns)-1)/2], make([]string, len(f.Turns))
		for j, t := range f.Turns {
			each[j] = fmt.Sprintf("%.4g : %.4g", t.Old, t.New)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.4g | %.4g | **%.3f** | %.3f – %.3f | %s | %s |\n", f.Measure, f.Table, f.Unit, median.Old, median.New, median.Ratio(),
			turns[0].Ratio(), turns[len(turns)-1].Ratio(), better, strings.Join(each, "; "))
	}
}

// name is the table's, with the form in which it was read where there are two.
func (c *Comparison) name() string {
	if c.Form == "" {
		return c.Table
	}
	return c.Table + ", " + c.Form
}

func (r *Report) writeTried(b *strings.Builder) {
	if len(r.Tried) == 0 {
		return
	}
	b.WriteString("\n### Settings of the Kafka engine that were tried\n\nThe fastest of each table is the reference. Format AvroConfluent; librdkafka reads what is committed; a materialized view takes `after` apart into a ReplacingMergeTree with the columns of dirtbike's own storage. The rows of every pass, of both, are compared by content.\n\n" +
		"| table | settings | rows/s |\n|---|---|---|\n")
	for _, t := range r.Tried {
		fmt.Fprintf(b, "| %s | %s | %s |\n", t.Table, t.Settings, speed(t.Rows, t.Took))
	}
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
	fmt.Fprintf(b, "\n## Commit → queryable\n\n%s transactions of one row at %.0f per second (asked for: %d) into a table of %s rows, from when a transaction is sent to when an answer of the view shows its row; asked every %s. `dirtbike run` with its default settings.\n\n",
		count(int64(l.Transactions)), l.Achieved, l.Rate, count(l.Rows), askEvery)
	fmt.Fprintf(b, "| p50 | p99 | slowest | aim: p99 below %d ms |\n|---|---|---|---|\n| %d ms | %d ms | %d ms | %s |\n",
		aimedP99.Milliseconds(), l.P50.Milliseconds(), l.P99.Milliseconds(), l.Max.Milliseconds(), met)
}

func (r *Report) writeMemory(b *strings.Builder) {
	if len(r.Memory) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Memory\n\nThe most that a process had resident (VmHWM); promised: below %s.\n\n| process | peak |\n|---|---|\n", humanize.Bytes(mostMemory))
	for _, m := range r.Memory {
		fmt.Fprintf(b, "| %s | %s |\n", m.Process, humanize.Bytes(uint64(m.Peak))) //nolint:gosec // never negative
	}
}
