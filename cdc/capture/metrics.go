package capture

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the capture leg. Base units; the only label is a table's name.
type Metrics struct {
	records, bytes, commits, transactions, retries, leftOut prometheus.Counter
	reported                                                prometheus.Gauge
	quarantined                                             *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them; a nil registerer registers nothing.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "dirtbike", Subsystem: "capture", Name: name, Help: help})
	}
	opts := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "dirtbike", Subsystem: "capture", Name: name, Help: help}
	}
	m := &Metrics{
		records:      counter("records_total", "Records accepted by the sink; durable once the commit that follows them has succeeded."),
		bytes:        counter("bytes_total", "Bytes of keys and values accepted by the sink."),
		commits:      counter("commits_total", "Commits that became durable."),
		transactions: counter("transactions_total", "Source transactions read from the log."),
		retries:      counter("retries_total", "Sessions that ended with an error and were started again."),
		leftOut:      counter("left_out_total", "Changes from before their table's newest copy that could not be carried; the copy includes their effect."),
		reported:     prometheus.NewGauge(opts("reported_lsn_bytes", "Log position that is durable in Kafka and reported to Postgres, in bytes since the start of its log.")),
		quarantined:  prometheus.NewGaugeVec(opts("table_quarantined", "1 while capture writes no changes of this table."), []string{"table"}),
	}
	if r != nil {
		r.MustRegister(m.records, m.bytes, m.commits, m.transactions, m.retries, m.leftOut, m.reported, m.quarantined)
	}
	return m
}
