package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
)

// The measures, in the order in which they run.
const (
	MeasureStream  = "stream"
	MeasureCopy    = "copy"
	MeasureLoad    = "load"
	MeasureLatency = "latency"
)

// Measures lists them all.
func Measures() []string { return []string{MeasureStream, MeasureCopy, MeasureLoad, MeasureLatency} }

// The promised ratios to the reference's speed.
const (
	leastStream = 0.7
	leastCopy   = 0.5
	leastLoad   = 2.0
)

// mostMemory is the most resident memory that `dirtbike run` may use, in bytes.
const mostMemory = 300_000_000

// aimedP99 is the goal for the 99th percentile of commit → queryable; it is reported, not promised.
const aimedP99 = 500 * time.Millisecond

// Options of a run.
type Options struct {
	// Only names the measures to take; empty = all.
	Only []string
	// Pairs is how often reference and product take turns, at least 1.
	Pairs int
	// Rows of the claims table; the wide table has an eighth. At least 1000.
	Rows int64
	// Tries is how many settings of ClickHouse's Kafka engine are tried before the load measure, at least 1; more than
	// there are = all.
	Tries int
	// Rate and For are the transactions per second of the latency measure, and for how long.
	Rate int
	For  time.Duration
	// Engines and Kafka as for the embedded stack.
	Engines, Kafka string
	// Self is this program's file: measures of the whole pipeline run the legs as processes of it.
	Self string
	// Against is the program of another build: both are measured in turns, Pairs times, instead of against the
	// references. Empty = none.
	Against string
	// Progress is told what is being measured; nil = silent.
	Progress io.Writer
	// Command is what was typed, for the report.
	Command string
}

var (
	// ErrOptions says that the options name something that cannot be measured; nothing was measured.
	ErrOptions = errors.New("no benchmark")
	// ErrUnreachable says that an engine did not start.
	ErrUnreachable = errors.New("the engines did not start")
)

// leastRows are enough for an average per row to mean something.
const leastRows = 1000

// Check refuses options that are impossible; its error is ErrOptions.
func (o *Options) Check() error {
	for _, name := range o.Only {
		if !slices.Contains(Measures(), name) {
			return cdc.Failed("there is no measure %q", name).Of(ErrOptions).Fix("--only %s", strings.Join(Measures(), ","))
		}
	}
	switch {
	case o.Pairs < 1:
		return cdc.Failed("%d pairs cannot be compared", o.Pairs).Of(ErrOptions).Fix("--pairs 5")
	case o.Rows < leastRows:
		return cdc.Failed("%d rows say nothing", o.Rows).Of(ErrOptions).Fix("--rows 1000000")
	case o.Tries < 1:
		return cdc.Failed("the Kafka engine cannot run without settings").Of(ErrOptions).Fix("--tries 5")
	case o.Rate < 1 || o.Rate > 100_000:
		return cdc.Failed("%d transactions per second cannot be written", o.Rate).Of(ErrOptions).Fix("--rate 500")
	case o.For < time.Second:
		return cdc.Failed("%s is too short for a 99th percentile", o.For).Of(ErrOptions).Fix("--for 20s")
	}
	if o.Against != "" {
		if _, err := exec.LookPath(o.Against); err != nil {
			return cdc.Failed("no program of another build").Of(ErrOptions).Because(err).
				Fix("go build -o old-dirtbike ./cmd/dirtbike in its checkout, then --against ./old-dirtbike")
		}
	}
	if o.takes(MeasureStream) {
		if _, err := findRecvlogical(); err != nil {
			return err
		}
	}
	return engineError(embedded.Options{Engines: o.Engines, Kafka: o.Kafka}.Check())
}

func (o *Options) takes(measures ...string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(measures, func(m string) bool { return slices.Contains(o.Only, m) })
}

// run is one run.
type run struct {
	Options
	report *Report
}

func (r *run) say(format string, args ...any) {
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, format+"\n", args...)
	}
}

// Run takes the measures. Everything that it starts ends with it, also when ctx ends early; then there is no report,
// but an error.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	machine, err := thisMachine()
	if err != nil {
		return nil, err
	}
	r := &run{o, &Report{Began: time.Now(), Command: o.Command, Machine: machine, Against: o.Against}}
	err = r.measure(ctx)
	if ctx.Err() != nil {
		return nil, cdc.Failed("interrupted: there is no report; everything that was started has been stopped").Fix("fewer --pairs and --rows, or --only one measure")
	}
	if err != nil {
		return nil, err
	}
	r.report.Took = time.Since(r.report.Began)
	return r.report, nil
}

func (r *run) measure(ctx context.Context) error {
	whole := r.takes(MeasureLoad, MeasureLatency)
	if err := engineError(embedded.Prepare(ctx, r.stack(whole))); err != nil {
		return err
	}
	if r.takes(MeasureStream, MeasureCopy) {
		var err error
		if r.Against != "" {
			err = r.rowPathBuilds(ctx)
		} else {
			err = r.withEngines(ctx, false, r.rowPaths)
		}
		if err != nil {
			return err
		}
	}
	if whole {
		return r.withEngines(ctx, true, r.onWhole)
	}
	return nil
}

// rowPaths measures the parts that run inside this process, which need only Postgres.
func (r *run) rowPaths(ctx context.Context, _ string, e *embedded.Stack) error {
	if err := r.versions(ctx, e.Postgres); err != nil {
		return err
	}
	for _, t := range tables() {
		if err := r.rowPath(ctx, e.Postgres, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) rowPath(ctx context.Context, e *embedded.Postgres, t *table) (err error) {
	r.say("filling table %s with %s rows", t.name, count(t.rows(r.Rows)))
	p, err := newRowPath(ctx, e, t, t.rows(r.Rows))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close(ctx)) }()
	facts := TableFacts{Name: t.name, Columns: len(t.columns), Rows: p.rows}
	if facts.CopyBytes, err = p.copiedBytes(ctx); err != nil {
		return err
	}
	if r.takes(MeasureStream) {
		if err := r.stream(ctx, p); err != nil {
			return err
		}
	}
	if r.takes(MeasureCopy) {
		if err := r.copy(ctx, p); err != nil {
			return err
		}
	}
	facts.AvroBytes = p.bytes / p.rows
	r.report.Tables = append(r.report.Tables, facts)
	return nil
}
