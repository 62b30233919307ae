package ops

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// metric makes a description under the name dirtbike_<name>.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dirtbike_"+name, help, labels, nil)
}

// The metrics of the pipeline as a whole. Base units; the only label is a table's name.
var (
	metricUp          = metric("status_up", "1 if Postgres and ClickHouse could both be asked; otherwise only the slot's metrics are there, if Postgres answered.")
	metricLagBytes    = metric("lag_bytes", "How far Postgres' log reaches beyond what ClickHouse is complete up to, in bytes.")
	metricLagSeconds  = metric("lag_seconds", "Age of the commit time ClickHouse is complete up to, in seconds; 0 without lag.")
	metricRetained    = metric("slot_retained_wal_bytes", "Log that Postgres keeps for the slot, in bytes.")
	metricSafe        = metric("slot_safe_wal_bytes", "Log that may still be written before the slot is lost, in bytes; absent without max_slot_wal_keep_size.")
	metricActive      = metric("slot_active", "1 while somebody streams from the slot.")
	metricExact       = metric("table_exact", "1 if the table's view equals the source as of complete_up_to.", "table")
	metricInexact     = metric("table_inexact_values", "Values that their ClickHouse type does not hold, whose exact text stands in _inexact.", "table")
	metricQuarantined = metric("table_in_quarantine", "1 while the table is quarantined, on either leg.", "table")
	metricDeadLetters = metric("table_dead_letters", "Rows that wait to be replayed.", "table")
)

var _ prometheus.Collector = (*Collector)(nil)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		metricUp, metricLagBytes, metricLagSeconds, metricRetained, metricSafe, metricActive, metricExact, metricInexact, metricQuarantined, metricDeadLetters,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector: each scrape asks as Status does.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	facts, err := c.read(ctx)
	gauge(metricUp, number(err == nil))
	if facts.slot.found { // also while ClickHouse is away: that is when the log piles up
		gauge(metricRetained, float64(facts.slot.retained))
		gauge(metricActive, number(facts.slot.active))
	}
	if facts.slot.found && facts.slot.safe >= 0 {
		gauge(metricSafe, float64(facts.slot.safe))
	}
	if err != nil {
		return
	}
	status := c.status(facts)
	if status.LagBytes != nil {
		gauge(metricLagBytes, float64(*status.LagBytes))
		gauge(metricLagSeconds, *status.LagSeconds)
	}
	for _, t := range status.Tables {
		if t.Excluded() {
			continue
		}
		inexact := int64(0)
		for _, n := range t.Inexact {
			inexact += n
		}
		gauge(metricInexact, float64(inexact), t.Table)
		gauge(metricExact, number(t.Exact), t.Table)
		gauge(metricQuarantined, number(t.Phase == quarantined), t.Table)
		gauge(metricDeadLetters, float64(t.DeadLetters), t.Table)
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
