package clickhouse

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dirtbike/sinks/clickhouse/apply"
)

// Status is what a Loader is doing; see Loader.Status.
type Status struct {
	// Connected is false until ClickHouse has answered, and while a server does not; its work is retried without limit.
	Connected bool
	// LastError is the newest failure that still lasts, without row values; "" if there is none.
	LastError  string
	Partitions []PartitionStatus
	// Tables that this loader has partitions of, ordered by name.
	Tables []TableStatus
}

// PartitionStatus is one partition assigned to this loader.
type PartitionStatus struct {
	Topic     string
	Partition int32
	// Applied is the offset up to which records are in ClickHouse; Lag counts the offsets from there to the last stable
	// one.
	Applied, Lag int64
}

// TablePhase is how far a table has come in ClickHouse.
type TablePhase string

// The phases of a table.
const (
	TableWaiting     TablePhase = "waiting"     // no generation has been opened yet
	TableCopying     TablePhase = "copying"     // the first copy is not complete: there is no view
	TableLive        TablePhase = "live"        // the view answers
	TableQuarantined TablePhase = "quarantined" // records are skipped; see Reason
)

// TableStatus is one table as this loader sees it.
type TableStatus struct {
	// Table is the real name, "schema.table".
	Table string
	Phase TablePhase
	// Generation that the view shows; 0: none.
	Generation uint32
	// Rows inserted by this loader since it started, replays and deleted rows included.
	Rows int64
	// Reason of a quarantine or of not being exact, without row values.
	Reason string
}

// status is the last snapshot and what fails; the loop writes it, health pages read it.
type status struct {
	sync.Mutex
	now Status
	// failing has the last failure of each step that is retried, until it succeeds or is given up.
	failing map[string]failure
	// warned are the parts whose outage was logged as a warning, until it ends.
	warned map[part]bool
}

func newStatus() *status { return &status{failing: map[string]failure{}, warned: map[part]bool{}} }

type failure struct {
	text string
	at   time.Time
}

// failed notes a failure; first says that it begins an outage of the part.
func (s *status) failed(what string, err error) (first bool) {
	s.Lock()
	defer s.Unlock()
	f := failure{what + ": " + withoutValues(err), time.Now()}
	s.failing[what] = f
	s.now.Connected, s.now.LastError = false, f.text
	first = !s.warned[partOf(what)]
	s.warned[partOf(what)] = true
	return first
}

// recovered forgets the failure of what was tried; the newest of the others shows again.
func (s *status) recovered(what string) {
	s.Lock()
	defer s.Unlock()
	delete(s.failing, what)
	var newest failure
	for _, f := range s.failing {
		if f.at.After(newest.at) {
			newest = f
		}
	}
	s.now.Connected, s.now.LastError = len(s.failing) == 0, newest.text
	if len(s.failing) == 0 {
		clear(s.warned)
	}
}

// since says how long ago something failed; 0 if it does not.
func (s *status) since(what string) time.Duration {
	s.Lock()
	defer s.Unlock()
	if f, ok := s.failing[what]; ok {
		return time.Since(f.at)
	}
	return 0
}

// Status says what the loader is doing. It does no I/O, never blocks, and is safe for concurrent use; the caller may
// keep the result.
func (l *Loader) Status() Status {
	l.status.Lock()
	defer l.status.Unlock()
	return l.status.now
}

// publish renews the snapshot after a batch.
func (l *Loader) publish() {
	var partitions []PartitionStatus
	var tables []TableStatus
	for _, name := range apply.SortedKeys(l.topics) {
		t := l.topics[name]
		lag := int64(0)
		for _, id := range apply.SortedKeys(t.Parts) {
			p := t.Parts[id]
			partitions = append(partitions, PartitionStatus{Topic: name, Partition: id, Applied: p.Applied, Lag: p.Lag()})
			lag += p.Lag()
		}
		if t.Progress {
			continue
		}
		if len(t.Parts) == 0 {
			l.metrics.lag.DeleteLabelValues(t.Table) // another loader has them
			continue
		}
		l.metrics.lag.WithLabelValues(t.Table).Set(float64(lag))
		tables = append(tables, l.tableStatus(t))
	}
	l.metrics.quarantined.Set(float64(l.quarantines.Count()))
	l.status.Lock()
	defer l.status.Unlock()
	l.status.now.Partitions, l.status.now.Tables = partitions, tables
}

func (l *Loader) tableStatus(t *apply.Topic) TableStatus {
	s := TableStatus{Table: t.Table, Generation: t.Shown, Rows: t.Rows, Phase: TableWaiting}
	switch {
	case t.Shown > 0:
		s.Phase = TableLive
	case len(t.Generations) > 0:
		s.Phase = TableCopying
	}
	skipping, reason := l.quarantines.State(t.Table)
	if s.Reason = reason; skipping {
		s.Phase = TableQuarantined
	}
	return s
}

// metrics are those of the load leg; label values are table names.
type metrics struct {
	rows, bytes, inserts *prometheus.CounterVec
	seconds              prometheus.Histogram
	latency              prometheus.Histogram
	lag                  *prometheus.GaugeVec
	quarantined          prometheus.Gauge
	retries              prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	table := []string{"table"}
	m := &metrics{
		rows:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_rows_total", Help: "Rows inserted, replays and deleted rows included."}, table),
		bytes:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_bytes_total", Help: "Bytes of the records whose rows were inserted."}, table),
		inserts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dirtbike_load_inserts_total", Help: "INSERT statements."}, table),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dirtbike_load_insert_seconds", Help: "Duration of an INSERT.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 14)}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dirtbike_load_commit_to_applied_seconds",
			Help: "From the source's commit to applied, of each batch's last change.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 16)}),
		lag:         prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "dirtbike_load_lag_records", Help: "Committed records not yet applied, on the partitions of this loader."}, table),
		quarantined: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dirtbike_load_quarantined_tables", Help: "Tables whose records are skipped, on either leg."}),
		retries:     prometheus.NewCounter(prometheus.CounterOpts{Name: "dirtbike_load_retries_total", Help: "Requests that failed and were tried again."}),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.rows, m.bytes, m.inserts, m.seconds, m.latency, m.lag, m.quarantined, m.retries} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}
