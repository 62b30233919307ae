package bench

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/report.md again")

func sampleReport() *Report {
	const ms = time.Millisecond
	settings := engineSettings(2)[0]
	return &Report{
		Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: 90 * time.Second, Command: "dirtbike bench --pairs 3",
		Machine:  Machine{CPU: "Example CPU", Cores: 2, Memory: 24 << 30, OS: "Example Linux 1", Kernel: "6.1", Load: "0.01 0.02 0.03"},
		Versions: []Fact{{"Postgres", "18.4"}},
		Tables:   []TableFacts{{"claims", 9, 1_000_000, 119, 122}},
		Comparisons: []Comparison{
			{
				Measure: MeasureStream, Table: "claims", Form: "binary", Rows: 1_000_000, Reference: "reference tool", Product: "product", Least: leastStream,
				Pairs: []Pair{{1000 * ms, 2000 * ms}, {1000 * ms, 1250 * ms}, {900 * ms, 1000 * ms}}, Allocations: []float64{0, 0.0002, 0.0001}, AllocationsCounted: true,
			},
			{Measure: MeasureLoad, Table: "claims", Rows: 1_000_000, Reference: "engine", Product: "load", Least: leastLoad, Pairs: []Pair{{6000 * ms, 2000 * ms}}},
		},
		Tried:   []Tried{{"claims", settings, 1_000_000, 5 * time.Second}},
		Latency: &Latency{500, 499.6, 10_000, 1_000_000, 80 * ms, 190 * ms, 300 * ms},
		Memory:  []Memory{{"dirtbike run", 200_000_000}},
	}
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	r := sampleReport()
	require.Empty(t, r.Faults())
	require.NoError(t, r.Write(&b))
	golden := filepath.Join("testdata", "report.md")
	if *update {
		require.NoError(t, os.WriteFile(golden, b.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// TestFaults: each bound can be missed, and the report says which.
func TestFaults(t *testing.T) {
	for want, change := range map[string]func(*Report){
		"stream, claims, binary: the median ratio is 0.50, below 0.70": func(r *Report) { r.Comparisons[0].Pairs = r.Comparisons[0].Pairs[:1] },
		"load, claims: the median ratio is 1.00, below 2.00":           func(r *Report) { r.Comparisons[1].Pairs[0].Product = 6 * time.Second },
		"stream, claims, binary: 0.020 allocations per row":            func(r *Report) { r.Comparisons[0].Allocations = []float64{0.02} },
		"dirtbike run: 300 MB resident, not below 300 MB":              func(r *Report) { r.Memory[0].Peak = mostMemory },
	} {
		r := sampleReport()
		change(r)
		require.Equal(t, []string{want}, r.Faults())
		var b bytes.Buffer
		require.NoError(t, r.Write(&b))
		require.Contains(t, b.String(), "\nBelow what is promised:\n\n- "+want+"\n")
	}
}

// TestMedian: of an even number of pairs the lower one counts.
func TestMedian(t *testing.T) {
	c := Comparison{Pairs: []Pair{{4, 1}, {1, 1}, {3, 1}, {2, 1}}}
	require.InDelta(t, 2, c.Pairs.Median().Ratio(), 0)
	lowest, highest := c.Pairs.Range()
	require.Equal(t, []float64{1, 4}, []float64{lowest, highest})
	require.Equal(t, Pair{4, 1}, c.Pairs[0], "their order stays")
}

// TestPeakMemory: this process has something resident.
func TestPeakMemory(t *testing.T) {
	peak, err := PeakMemory(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, peak, int64(1<<20))
	_, err = PeakMemory(-1)
	require.Error(t, err)
}

// TestReadPairs: what --against reads of another build's report.
func TestReadPairs(t *testing.T) {
	report := &Report{Comparisons: []Comparison{
		{Measure: MeasureStream, Table: "claims", Form: "binary", Rows: 1, Pairs: []Pair{{Reference: 3 * time.Second, Product: 2 * time.Second}}},
		{Measure: MeasureCopy, Table: "wide", Rows: 1, Pairs: []Pair{{Reference: time.Second, Product: 4 * time.Second}}},
	}}
	var out strings.Builder
	require.NoError(t, report.Write(&out))
	const unit = "of the reference's speed"
	require.Equal(t, map[figure]float64{
		{measure: MeasureStream, table: "claims, binary", unit: unit}: 1.5, {measure: MeasureCopy, table: "wide", unit: unit}: 0.25,
	}, readPairs(out.String()))
}
