package capture

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"dirtbike/cdc"
)

// Status describes a running capture; it is cheap to read, at any time.
type Status struct {
	Phase cdc.Phase
	// Healthy is true once the capture follows the log, or copies, without error.
	Healthy   bool
	LastError string // the newest error in one line, "" if the present session had none
	// Waiting says what a session waits for in Postgres: whose transaction, since when, what ends it; "" for nothing.
	Waiting string
	// Progress says how far a start has come, with counts; "" once the log is followed.
	Progress string
	// Durable is the LSN that has been reported to Postgres; Seen how far the server's log reaches, as last heard.
	Durable, Seen cdc.LSN
	// DurableTime and SeenTime are the source's clock at these, microseconds since 1970-01-01 UTC; 0 if unknown.
	DurableTime, SeenTime int64
	LastCommit            time.Time // when Kafka last committed
	// Tables, ordered by name.
	Tables []TableStatus
}

// TableStatus is one table of a Status.
type TableStatus struct {
	Table string
	// Phase is "new" for a table that the config names but that cannot be captured, and so was never copied.
	Phase      cdc.TablePhase
	Generation uint32
	// Rows copied so far, Estimated what Postgres thinks the table has (0 if unknown).
	Rows, Estimated int64
	Reason          string
}

// tableSkipped is the phase, only in a Status, of a table that was skipped; the state has no entry for it (tableNew).
const tableSkipped = "new"

// status is the live state that Status is a copy of.
type status struct {
	mu     sync.Mutex
	now    Status
	tables map[string]TableStatus
}

func (s *status) copy() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.now
	out.Tables = slices.SortedFunc(maps.Values(s.tables), func(a, b TableStatus) int { return cmp.Compare(a.Table, b.Table) })
	return out
}

// update changes the status under its lock.
func (s *status) update(change func(now *Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.now)
}

func (s *status) failed(err error) {
	s.update(func(now *Status) { now.Healthy, now.LastError = false, err.Error() })
}

// phase notes that the session has reached a phase without error.
func (s *status) phase(p cdc.Phase) {
	s.update(func(now *Status) {
		if now.Phase, now.Healthy, now.LastError = p, true, ""; p == cdc.PhaseStreaming {
			now.Progress = ""
		}
	})
}

func (s *status) durable(d cdc.Durable) {
	p := d.Point()
	s.update(func(now *Status) { now.Durable, now.DurableTime, now.LastCommit = p.Reported, p.Time, time.Now() })
	s.seen(p.Reported, p.Time, 0)
}

// seen notes how far the log reaches, by an event of that time, and what the source's clock shows; 0 if unknown.
func (s *status) seen(end cdc.LSN, at, clock int64) {
	s.update(func(now *Status) { now.Seen, now.SeenTime = max(now.Seen, end), later(now.SeenTime, at, clock) })
}

// begin forgets the tables of the session before.
func (s *status) begin() { s.update(func(*Status) { s.tables = map[string]TableStatus{} }) }

// table shows a table that is captured, or quarantined.
func (s *status) table(t *table, rows int64) {
	shown := TableStatus{
		Table: t.name(), Phase: t.state.Phase, Generation: t.state.Generation, Rows: rows, Estimated: t.listed.EstimatedRows, Reason: t.state.Reason,
	}
	s.update(func(*Status) { s.tables[shown.Table] = shown })
}

// skipped shows a table that is not captured, and why. A captured table with the same full name (a name may contain a
// dot) takes precedence.
func (s *status) skipped(t *cdc.Table, why error) {
	name := t.FullName()
	s.update(func(*Status) {
		if was, known := s.tables[name]; !known || was.Phase == tableNew || was.Phase == cdc.TableExcluded {
			s.tables[name] = TableStatus{Table: name, Phase: tableSkipped, Estimated: t.EstimatedRows, Reason: why.Error()}
		}
	})
}
