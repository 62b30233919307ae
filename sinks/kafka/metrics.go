package kafka

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dirtbike/cdc"
)

// metrics of one sink.
type metrics struct {
	records, bytes, commits, fenced, errors prometheus.Counter
	commitSeconds                           prometheus.Histogram
	buffered                                prometheus.GaugeFunc
}

func newMetrics(buffered func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "dirtbike_kafka_" + name, Help: help})
	}
	return &metrics{
		records: counter("records_total", "Records of tables committed to Kafka."),
		bytes:   counter("bytes_total", "Bytes of keys and values of tables committed to Kafka, before compression."),
		commits: counter("commits_total", "Kafka transactions committed, idle ones included."),
		fenced:  counter("fenced_total", "Times that another capture took over the transactional id."),
		errors:  counter("errors_total", "Errors after which the sink had to recover or stop, fencing included."),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dirtbike_kafka_commit_seconds", Help: "Duration of a commit in seconds: flush, state and end of the transaction.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		buffered: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dirtbike_kafka_buffered_bytes", Help: "Bytes of keys and values handed to the Kafka client and not yet acknowledged.",
		}, buffered),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.records, m.bytes, m.commits, m.fenced, m.errors, m.commitSeconds, m.buffered}
}

// register registers all metrics or none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.all() {
		if err := r.Register(c); err != nil {
			for _, done := range m.all()[:i] {
				r.Unregister(done)
			}
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}

func (m *metrics) failed(err error) {
	m.errors.Inc()
	if errors.Is(err, cdc.ErrFenced) {
		m.fenced.Inc()
	}
}

func (m *metrics) committed(records, bytes int64, started time.Time) {
	m.records.Add(float64(records))
	m.bytes.Add(float64(bytes))
	m.commits.Inc()
	m.commitSeconds.Observe(time.Since(started).Seconds())
}
