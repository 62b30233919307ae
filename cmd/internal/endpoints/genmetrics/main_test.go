package main

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestPageIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../" + page)
	require.NoError(t, err)
	all, err := metrics()
	require.NoError(t, err)
	require.Equal(t, markdown(all), string(text), "METRICS.md is stale. Try: go generate ./cmd/internal/endpoints")
}

// TestMetricsKeepTheirPromises: a prefix, a help text, base units, no label but the name of a table or of
// a topic that is the pipeline's: there are only so many.
func TestMetricsKeepTheirPromises(t *testing.T) {
	all, err := metrics()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, m := range all {
		require.False(t, seen[m.name], "%s stands twice", m.name)
		seen[m.name] = true
		require.True(t, strings.HasPrefix(m.name, "dirtbike_"), m.name)
		require.Greater(t, len(m.help), 10, m.name)
		require.Equal(t, m.kind == "counter", strings.HasSuffix(m.name, "_total"), "%s is a %s", m.name, m.kind)
		require.NotRegexp(t, `_(ms|milliseconds|minutes|kb|mb|kilobytes|megabytes|percent)(_|$)`, m.name)
		require.Contains(t, []string{"", "table", "topic"}, m.labels, m.name)
	}
	require.Contains(t, seen, "dirtbike_load_lag_records", "a vector without a sample")
	require.Contains(t, seen, "dirtbike_table_exact", "of the collector")
}

func TestKindOf(t *testing.T) {
	for want, c := range map[string]prometheus.Collector{
		"counter":   prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "a"}, func() float64 { return 0 }),
		"gauge":     prometheus.NewGauge(prometheus.GaugeOpts{Name: "a"}),
		"histogram": prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "a"}, []string{"x"}),
	} {
		kind, err := kindOf(c)
		require.NoError(t, err)
		require.Equal(t, want, kind)
	}
	_, err := kindOf(prometheus.NewSummary(prometheus.SummaryOpts{Name: "a"}))
	require.Error(t, err, "an unknown kind")
}
