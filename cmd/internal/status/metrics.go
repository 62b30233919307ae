package status

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"dirtbike/cdc"
)

// described are all metrics.
var described []*prometheus.Desc

// metric makes a description under the name dirtbike_<name>.
func metric(name, help string, labels ...string) *prometheus.Desc {
	described = append(described, prometheus.NewDesc("dirtbike_"+name, help, labels, nil))
	return described[len(described)-1]
}

// The metrics of the pipeline as a whole. Base units; the only label is a table's name.
var (
	metricUp = metric("status_up", "1 if Postgres and ClickHouse could both be asked; otherwise "+
		"only the slot's metrics are there, if Postgres answered.")
	metricLagBytes   = metric("lag_bytes", "How far Postgres' log reaches beyond what ClickHouse is complete up to, in bytes.")
	metricLagSeconds = metric("lag_seconds", "Age of the commit time ClickHouse is complete up to, in seconds; 0 without lag.")
	metricRetained   = metric("slot_retained_wal_bytes", "Log that Postgres retains for the slot, in bytes.")
	metricSafe       = metric("slot_safe_wal_bytes", "Log that may still be written before the slot is lost, in bytes; absent without max_slot_wal_keep_size.")
	metricLimit      = metric("slot_limit_wal_bytes", "Log that Postgres may retain for the slot, in bytes: "+
		"max_slot_wal_keep_size or source.wal_disk, the one that is reached first; absent without one.")
	metricLeft        = metric("slot_left_wal_bytes", "Log that may still be retained for the slot below that limit, in bytes; absent without one.")
	metricLeftSeconds = metric("slot_left_seconds", "When that limit is reached, in seconds from now, "+
		"at the rate at which the retained log has grown; absent without a limit, while it does not grow, and until the rate is known.")
	metricExists      = metric("slot_exists", "1 if the slot is there.")
	metricLost        = metric("slot_lost", "1 if Postgres has invalidated the slot.")
	metricActive      = metric("slot_active", "1 while a connection streams from the slot.")
	metricConfirmed   = metric("slot_confirmed_lsn_bytes", "Log position that capture has confirmed to Postgres, in bytes since the start of its log.")
	metricSpilled     = metric("slot_spilled_bytes_total", "Bytes of large transactions that decoding for the slot has written to Postgres' disk.")
	metricSource      = metric("source_lsn_bytes", "End of Postgres' log, in bytes since its start.")
	metricOpen        = metric("privacy_open", "1 if columns that nobody named leave as they are (privacy.mode open, no privacy section, or a table's \"*\": keep).")
	metricOpenColumns = metric("privacy_open_columns", "Columns that leave as they are though nobody named them; absent until Postgres' catalog was read.")
	metricExposed     = metric("connections_exposed", "Connections to other machines that are not encrypted, or whose server nobody verifies.")
	metricExact       = metric("table_exact", "1 if the table's view equals the source as of complete_up_to.", "table")
	metricRows        = metric("table_stored_rows", "Rows that ClickHouse stores for the table, outdated and deleted ones included until they are merged.", "table")
	metricCopying     = metric("table_copying", "1 while the first copy of the table is under way.", "table")
	metricParts       = metric("table_parts", "Parts of the table's storage in ClickHouse, which has one partition.", "table")
	metricQuarantined = metric("table_in_quarantine", "1 while the table is quarantined, by capture or load.", "table")
	metricDeadLetters = metric("table_dead_letters", "Rows that wait to be replayed.", "table")
)

var _ prometheus.Collector = (*Collector)(nil)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range described {
		out <- d
	}
}

// gauges sends gauges.
type gauges chan<- prometheus.Metric

func (out gauges) send(d *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// Collect implements prometheus.Collector: each scrape asks as Status does.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), CheckTime)
	defer cancel()
	out := gauges(metrics)
	facts, err := c.read(ctx)
	out.send(metricUp, number(err == nil))
	out.send(metricExposed, float64(len(c.Exposed)))
	open, columns, known := c.openColumns(ctx)
	out.send(metricOpen, number(open))
	if known {
		out.send(metricOpenColumns, float64(columns))
	}
	if facts.slot.current > 0 { // also while ClickHouse is away: that is when the retained log grows
		out.send(metricSource, float64(facts.slot.current))
		out.send(metricExists, number(facts.slot.found))
		c.collectSlot(out, &facts)
	}
	if err == nil {
		c.collectStatus(out, &facts)
	}
}

func (c *Collector) collectSlot(out gauges, f *facts) {
	if !f.slot.found {
		return
	}
	out.send(metricRetained, float64(f.slot.retained))
	out.send(metricActive, number(f.slot.active))
	out.send(metricLost, number(f.slot.walStatus == "lost"))
	out.send(metricConfirmed, float64(f.slot.current-f.slot.unconfirmed))
	out <- prometheus.MustNewConstMetric(metricSpilled, prometheus.CounterValue, float64(f.slot.spilled))
	if f.slot.safe >= 0 {
		out.send(metricSafe, float64(f.slot.safe))
	}
	room := c.forecast(f.slot, f.written())
	if room.limit == "" {
		return
	}
	out.send(metricLimit, float64(room.size))
	out.send(metricLeft, float64(room.left))
	if left, ok := room.until(); ok {
		out.send(metricLeftSeconds, left.Seconds())
	}
}

func (c *Collector) collectStatus(out gauges, f *facts) {
	status := c.status(*f)
	if status.LagBytes != nil {
		out.send(metricLagBytes, float64(*status.LagBytes))
		out.send(metricLagSeconds, *status.LagSeconds)
	}
	for _, t := range status.Tables {
		if t.Excluded() {
			continue
		}
		out.send(metricRows, float64(t.Rows), t.Table)
		out.send(metricExact, number(t.Exact), t.Table)
		out.send(metricCopying, number(t.Phase == string(cdc.TableCopying)), t.Table)
		out.send(metricParts, float64(f.parts(t.Table)), t.Table)
		out.send(metricQuarantined, number(t.Phase == quarantined), t.Table)
		out.send(metricDeadLetters, float64(t.DeadLetters), t.Table)
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
