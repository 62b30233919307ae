package bench

import (
	"cmp"
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Builds is one figure of two builds, taken in turns.
type Builds struct {
	Measure, Table string
	// Unit says what the figures are; Lower that a lower one is better.
	Unit  string
	Lower bool
	Turns []Turn // in the order they ran
}

// Turn is the figure of the other build and of this one, one right after the other.
type Turn struct{ Old, New float64 }

// Ratio is this build's figure as a share of the other's.
func (t Turn) Ratio() float64 { return t.New / t.Old }

// Sorted are the turns by ratio. All that is said of a figure is of the turn with the median ratio.
func (b *Builds) Sorted() []Turn {
	return slices.SortedFunc(slices.Values(b.Turns), func(x, y Turn) int { return cmp.Compare(x.Ratio(), y.Ratio()) })
}

// take is one pass of a build; its figures are by measure, table and unit.
type take func(ctx context.Context, binary string) (map[figure]float64, error)

// figure names what a pass measures.
type figure struct {
	measure, table, unit string
	lower                bool
}

// against lets the other build and this one take turns; which of them begins changes each time.
func (r *run) against(ctx context.Context, what string, pass take) error {
	var order []figure
	turns := map[figure][]Turn{}
	for i := range r.Pairs {
		binaries := []string{r.Against, r.Self}
		found := make([]map[figure]float64, 2)
		for j := range binaries {
			which := (i + j) % 2
			var err error
			if found[which], err = pass(ctx, binaries[which]); err != nil {
				return fmt.Errorf("measure %s of %s: %w", what, binaries[which], err)
			}
		}
		for f, old := range found[0] {
			if turns[f] == nil {
				order = append(order, f)
			}
			t := Turn{old, found[1][f]}
			turns[f] = append(turns[f], t)
			r.say("%s, %s: turn %d of %d: %.4g against %.4g %s, %.3f×", f.measure, f.table, i+1, r.Pairs, t.New, t.Old, f.unit, t.Ratio())
		}
	}
	slices.SortFunc(order, func(a, b figure) int { return strings.Compare(a.measure+a.table+a.unit, b.measure+b.table+b.unit) })
	for _, f := range order {
		r.report.Builds = append(r.report.Builds, Builds{f.measure, f.table, f.unit, f.lower, turns[f]})
	}
	return nil
}

// compareBuilds compares another build's program with this one.
func (r *run) compareBuilds(ctx context.Context) error {
	inside := slices.DeleteFunc([]string{MeasureStream, MeasureCopy}, func(m string) bool { return !r.takes(m) })
	whole := r.takes(MeasureLoad) || r.takes(MeasureLatency)
	need := onlyPostgres
	if whole {
		need = wholeStack
	}
	if err := prepareEngines(ctx, r.Options, need); err != nil {
		return err
	}
	if len(inside) > 0 {
		err := r.against(ctx, strings.Join(inside, " and "), func(ctx context.Context, binary string) (map[figure]float64, error) {
			return r.benchOf(ctx, binary, inside)
		})
		if err != nil {
			return err
		}
	}
	if whole {
		return withEngines(ctx, r.Options, wholeStack, r.wholeBuilds)
	}
	return nil
}

// benchOf lets a build measure itself against the references, which run in the same minute: the figure is the ratio to
// them.
func (r *run) benchOf(ctx context.Context, binary string, measures []string) (figures map[figure]float64, err error) {
	dir, err := os.MkdirTemp("", "dirtbike-bench-")
	if err != nil {
		return nil, cdc.Failed("make a temporary directory").Because(err).Fix("another TMPDIR")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "report.md")
	args := []string{"bench", "--only", strings.Join(measures, ","), "--pairs", "1", "--rows", strconv.FormatInt(r.Rows, 10), "--out", file}
	if r.Engines != "" {
		args = append(args, "--engines", r.Engines)
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, stopTimeout
	said, runErr := cmd.CombinedOutput()
	report, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if figures = readPairs(string(report)); len(figures) == 0 { // an exit code of 1 may be about a bound
		return nil, fmt.Errorf("bench: %w: %s", runErr, said)
	}
	return figures, nil
}

// pairLine is a measure's line of one pair in a report.
var pairLine = regexp.MustCompile(`(?m)^\| (stream|copy) \| ([^|]+) \| ([0-9.]+) : ([0-9.]+) = [0-9.]+ \|$`)

// readPairs reads the ratios of a report.
func readPairs(report string) map[figure]float64 {
	out := map[figure]float64{}
	for _, m := range pairLine.FindAllStringSubmatch(report, -1) {
		reference, _ := strconv.ParseFloat(m[3], 64) // the pattern says that it is one
		product, _ := strconv.ParseFloat(m[4], 64)
		out[figure{measure: m[1], table: m[2], unit: "of the reference's speed"}] = reference / product
	}
	return out
}

// wholeBuilds compares what takes all parts.
func (r *run) wholeBuilds(ctx context.Context, dir string, e *engines) error {
	w, err := newWhole(ctx, r, dir, e)
	if err != nil {
		return err
	}
	defer w.ch.Close() //nolint:errcheck // nothing is in flight
	if r.takes(MeasureLoad) {
		for _, t := range tables() {
			if err := r.loadBuilds(ctx, w, t); err != nil {
				return err
			}
		}
	}
	if !r.takes(MeasureLatency) {
		return nil
	}
	passes := 0
	return r.against(ctx, MeasureLatency, func(ctx context.Context, binary string) (map[figure]float64, error) {
		passes++
		l, _, err := r.freshness(ctx, w, binary, fmt.Sprintf("latency_%d", passes))
		if err != nil {
			return nil, err
		}
		of := fmt.Sprintf("claims, %d per second", r.Rate)
		return map[figure]float64{
			{MeasureLatency, of, "ms, p50", true}: float64(l.P50) / float64(time.Millisecond),
			{MeasureLatency, of, "ms, p99", true}: float64(l.P99) / float64(time.Millisecond),
		}, nil
	})
}

// loadBuilds lets both builds load the same topic.
func (r *run) loadBuilds(ctx context.Context, w *whole, t *table) error {
	l, err := r.newLoading(ctx, w, t)
	if err != nil {
		return err
	}
	return r.against(ctx, MeasureLoad, func(ctx context.Context, binary string) (map[figure]float64, error) {
		took, err := l.loader(ctx, binary)
		return map[figure]float64{{measure: MeasureLoad, table: t.name, unit: "thousand rows/s"}: float64(l.rows) / took.Seconds() / 1000}, err
	})
}
