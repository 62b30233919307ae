package clickhouse

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the load leg; label values are table names.
type metrics struct {
	rows, bytes, inserts *prometheus.CounterVec
	seconds              prometheus.Histogram
	latency              prometheus.Histogram
	lag                  *prometheus.GaugeVec
	quarantined, waiting prometheus.Gauge
	retries              prometheus.Counter
	foreign              *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	table := []string{"table"}
	m := &metrics{
		rows:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_rows_total", Help: "Rows inserted, replays and deleted rows included."}, table),
		bytes:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_bytes_total", Help: "Bytes of the records whose rows were inserted."}, table),
		inserts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_inserts_total", Help: "INSERT statements."}, table),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dirtbike_load_insert_seconds",
			Help: "Duration of an INSERT.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 14)}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dirtbike_load_commit_to_applied_seconds",
			Help: "From the source's commit to applied, of each batch's last change.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 16)}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "dirtbike_load_lag_records",
			Help: "Committed records not yet applied, on the partitions of this loader."}, table),
		quarantined: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dirtbike_load_quarantined_tables", Help: "Tables whose records are skipped, by capture or load."}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dirtbike_load_waiting_tables",
			Help: "Tables of this loader that wait because of an error of their own, while the others go on."}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "dirtbike_load_retries_total", Help: "Requests that failed and were tried again."}),
		foreign: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_foreign_records_total",
			Help: "Records that were passed over, since another than the pipeline's capture wrote them."}, []string{"topic"}),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.rows, m.bytes, m.inserts, m.seconds, m.latency, m.lag, m.quarantined, m.waiting, m.retries, m.foreign} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// publish brings the gauges up to date.
func (l *Loader) publish() {
	for _, t := range l.topics {
		switch {
		case t.Progress:
		case len(t.Parts) == 0:
			l.metrics.lag.DeleteLabelValues(t.Table) // another loader has them
		default:
			lag := int64(0)
			for _, p := range t.Parts {
				lag += max(p.Stable-p.Applied, 0)
			}
			l.metrics.lag.WithLabelValues(t.Table).Set(float64(lag))
		}
	}
	l.metrics.quarantined.Set(float64(l.quarantines.Count()))
}
