package clickhouse

import (
	"sync"
	"time"
)

// Status is what a Loader is doing; see Loader.Status.
type Status struct {
	// Connected is false while ClickHouse or the registry does not answer; the same work is tried again for ever.
	Connected bool
	// LastError is the last failure, without row values; "" if there was none or it has been got over.
	LastError string
	// LastErrorAt is when it happened.
	LastErrorAt time.Time
	// Applied is when applied offsets were last written; zero: not yet.
	Applied time.Time
	// Buffered is what the batch being built holds, in bytes.
	Buffered   int64
	Partitions []PartitionStatus
	// Tables that this loader has partitions of, ordered by name.
	Tables []TableStatus
}

// PartitionStatus is one partition assigned to this loader.
type PartitionStatus struct {
	Topic     string
	Partition int32
	// Applied is the offset up to which records are in ClickHouse; Lag counts the offsets from there to the last stable one.
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
	// Inexact counts, by column, the values loaded since the start whose exact text stands in `_inexact`.
	Inexact map[string]int64
	// Reason of a quarantine or of not being exact, without row values.
	Reason string
}

// status is the last snapshot and the last failure; the loop writes it, health pages read it.
type status struct {
	sync.Mutex
	now Status
}

func (s *status) failed(what string, err error) {
	s.Lock()
	defer s.Unlock()
	s.now.Connected = false
	s.now.LastError, s.now.LastErrorAt = what+": "+withoutValues(err), time.Now()
}

func (s *status) recovered() {
	s.Lock()
	defer s.Unlock()
	s.now.Connected, s.now.LastError = true, ""
}

// Status tells what the loader is doing. It asks nobody, never blocks, and is safe for concurrent use; what it returns
// is the caller's to keep.
func (l *Loader) Status() Status {
	l.status.Lock()
	defer l.status.Unlock()
	return l.status.now
}

// publish renews the snapshot after a batch.
func (l *Loader) publish(applied bool) {
	var partitions []PartitionStatus
	var tables []TableStatus
	for _, name := range sortedKeys(l.topics) {
		t := l.topics[name]
		lag := int64(0)
		for _, id := range sortedKeys(t.parts) {
			p := t.parts[id]
			partitions = append(partitions, PartitionStatus{Topic: name, Partition: id, Applied: p.applied, Lag: p.lag()})
			lag += p.lag()
		}
		if t.progress || len(t.parts) == 0 {
			continue
		}
		l.metrics.lag.WithLabelValues(t.table).Set(float64(lag))
		tables = append(tables, l.tableStatus(t))
	}
	l.metrics.quarantined.Set(float64(l.quarantines.count()))
	l.status.Lock()
	defer l.status.Unlock()
	l.status.now.Partitions, l.status.now.Tables, l.status.now.Buffered = partitions, tables, l.batch.bytes
	if applied {
		l.status.now.Applied = time.Now()
	}
}

func (l *Loader) tableStatus(t *topic) TableStatus {
	s := TableStatus{Table: t.table, Generation: t.shown, Rows: t.rows, Phase: TableWaiting}
	switch {
	case t.shown > 0:
		s.Phase = TableLive
	case len(t.generations) > 0:
		s.Phase = TableCopying
	}
	if len(t.inexact) > 0 {
		s.Inexact = make(map[string]int64, len(t.inexact))
		for k, v := range t.inexact {
			s.Inexact[k] = v
		}
	}
	skipping, reason := l.quarantines.state(t.table)
	if s.Reason = reason; skipping {
		s.Phase = TableQuarantined
	}
	return s
}
