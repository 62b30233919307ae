package bench

import (
	"context"
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
	figure
	Turns turns[Turn] // in the order they ran
}

// figure names what a pass measures.
type figure struct {
	measure, table, unit string
	lower                bool // a lower one is better
}

// Turn is the figure of the other build and of this one, measured one after the other.
type Turn struct{ Old, New float64 }

// Ratio is this build's figure as a share of the other's.
func (t Turn) Ratio() float64 { return t.New / t.Old }

// against lets the other build and this one take turns; which of them begins changes each time. pass is one pass of a
// build.
func (r *run) against(what string, pass func(binary string) (map[figure]float64, error)) error {
	all := map[figure]turns[Turn]{}
	for i := range r.Pairs {
		var found [2]map[figure]float64
		binaries := [2]string{r.Against, r.Self}
		for j := range binaries {
			var err error
			which := (i + j) % 2
			if found[which], err = pass(binaries[which]); err != nil {
				return fmt.Errorf("measure %s of %s: %w", what, binaries[which], err)
			}
		}
		for f, old := range found[0] {
			t := Turn{old, found[1][f]}
			all[f] = append(all[f], t)
			r.say("%s, %s: turn %d of %d: %.4g against %.4g %s, %.3f×", f.measure, f.table, i+1, r.Pairs, t.New, t.Old, f.unit, t.Ratio())
		}
	}
	begin := len(r.report.Builds)
	for f, turns := range all {
		r.report.Builds = append(r.report.Builds, Builds{f, turns})
	}
	slices.SortFunc(r.report.Builds[begin:], func(a, b Builds) int { return strings.Compare(a.measure+a.table+a.unit, b.measure+b.table+b.unit) })
	return nil
}

// rowPathBuilds lets each build measure itself against the references, which run in the same minute: the figure is the
// ratio to them.
func (r *run) rowPathBuilds(ctx context.Context) error {
	measures := strings.Join(slices.DeleteFunc([]string{MeasureStream, MeasureCopy}, func(m string) bool { return !r.takes(m) }), ",")
	return r.against(measures, func(binary string) (figures map[figure]float64, err error) {
		err = inDir(func(dir string) error {
			file := filepath.Join(dir, "report.md")
			args := []string{"bench", "--only", measures, "--pairs", "1", "--rows", strconv.FormatInt(r.Rows, 10), "--out", file}
			if r.Engines != "" {
				args = append(args, "--engines", r.Engines)
			}
			cmd := exec.CommandContext(ctx, binary, args...)
			cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, stopTimeout
			said, runErr := cmd.CombinedOutput()
			report, err := os.ReadFile(file)
			if figures = readPairs(string(report)); err == nil && len(figures) == 0 { // exit code 1 may only mean that a figure is below its bound
				err = fmt.Errorf("bench: %w: %s", runErr, said)
			}
			return err
		})
		return figures, err
	})
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

// builds lets both builds load the same topic.
func (l *loading) builds(ctx context.Context) error {
	return l.against(MeasureLoad, func(binary string) (map[figure]float64, error) {
		took, err := l.loader(ctx, binary)
		return map[figure]float64{{measure: MeasureLoad, table: l.table.name, unit: "thousand rows/s"}: float64(l.rows) / took.Seconds() / 1000}, err
	})
}

// latencyBuilds compares the latency of both builds, each time in a new pipeline.
func (w *whole) latencyBuilds(ctx context.Context) error {
	passes := 0
	return w.against(MeasureLatency, func(binary string) (map[figure]float64, error) {
		passes++
		l, _, err := w.freshness(ctx, binary, fmt.Sprintf("latency_%d", passes))
		if err != nil {
			return nil, err
		}
		of := fmt.Sprintf("claims, %d per second", w.Rate)
		return map[figure]float64{
			{MeasureLatency, of, "ms, p50", true}: float64(l.P50) / float64(time.Millisecond),
			{MeasureLatency, of, "ms, p99", true}: float64(l.P99) / float64(time.Millisecond),
		}, nil
	})
}
