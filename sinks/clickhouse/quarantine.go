package clickhouse

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// The legs that may quarantine a table.
const (
	legCapture = "capture"
	legLoad    = "load"
)

// quarantines are the open and closed rows of `quarantine`, which all loaders share. It is guarded by Loader.mu.
type quarantines struct {
	rows    map[quarantineKey]quarantine
	changed map[quarantineKey]bool // to be written before the applied offsets
}

type quarantineKey struct{ table, leg string }

type quarantine struct {
	reason string
	state  uint8
	// version orders the rows of a key. On the load leg it is made of the generation and whether it was lifted, so that a loader
	// that lifts the quarantine of one generation cannot undo another's of a later one; on the capture leg it is the offset behind
	// the progress record that says it, below the epochs that came before, so that a replay cannot bring back what was.
	version uint64
	// generation is the newest one it concerns: a later one that is complete lifts it. On the capture leg it is the one that
	// capture is at: until the view shows it the table is not exact.
	generation uint32
}

// The values of quarantine.open.
const (
	stateClosed   = 0
	stateSkipping = 1 // the table's records are skipped
	stateExcluded = 3 // capture no longer follows the table: complete_up_to does not speak of it
)

func newQuarantines() *quarantines {
	return &quarantines{rows: map[quarantineKey]quarantine{}, changed: map[quarantineKey]bool{}}
}

// load reads what other loaders and earlier sessions wrote.
func (q *quarantines) load(ctx context.Context, l *Loader) error {
	rows, err := l.conn.Query(ctx, "SELECT `table`, leg, reason, open, version, generation FROM "+l.raw("quarantine")+" FINAL")
	if err != nil {
		return fmt.Errorf("read quarantined tables: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	for rows.Next() {
		var k quarantineKey
		var r quarantine
		if err := rows.Scan(&k.table, &k.leg, &r.reason, &r.state, &r.version, &r.generation); err != nil {
			return fmt.Errorf("read quarantined tables: %w", err)
		}
		if r.version > q.rows[k].version {
			q.rows[k] = r
		}
	}
	return rows.Err()
}

// skips reports whether records of a generation of the table are skipped.
func (q *quarantines) skips(table string, generation uint32) bool {
	r := q.rows[quarantineKey{table, legLoad}]
	return r.state == stateSkipping && generation <= r.generation
}

// state says whether the table's newest records are skipped on this leg, and any leg's reason.
func (q *quarantines) state(table string) (skipping bool, reason string) {
	load, capture := q.rows[quarantineKey{table, legLoad}], q.rows[quarantineKey{table, legCapture}]
	switch {
	case load.state != stateClosed:
		return load.state == stateSkipping, load.reason
	case capture.state == stateSkipping:
		return true, capture.reason
	}
	return false, ""
}

func (q *quarantines) count() int {
	n := 0
	for _, r := range q.rows {
		if r.state == stateSkipping {
			n++
		}
	}
	return n
}

// set takes a row unless one that is there outranks it, or says the same with another reason.
func (q *quarantines) set(k quarantineKey, r quarantine) (changed bool) {
	old := q.rows[k]
	if r.version <= old.version || r.state == old.state && r.generation == old.generation {
		return false
	}
	q.rows[k] = r
	q.changed[k] = true
	return true
}

// open quarantines a table on this leg up to a generation.
func (q *quarantines) open(table string, generation uint32, reason string) (changed bool) {
	return q.set(quarantineKey{table, legLoad}, quarantine{reason: reason, state: stateSkipping, version: uint64(generation) << 1, generation: generation})
}

// lift closes the table's quarantine on this leg if it concerns only generations below the one that the view shows.
func (q *quarantines) lift(table string, shown uint32) {
	k := quarantineKey{table, legLoad}
	if r := q.rows[k]; r.state == stateSkipping && r.generation < shown {
		q.set(k, quarantine{state: stateClosed, version: r.version | 1, generation: r.generation})
	}
}

// write stores the changed rows.
func (q *quarantines) write(ctx context.Context, l *Loader) error {
	if len(q.changed) == 0 {
		return nil
	}
	var rows [][]any
	for k := range q.changed {
		r := q.rows[k]
		rows = append(rows, []any{k.table, k.leg, r.reason, r.state, r.version, r.generation})
	}
	if err := l.insertRows(ctx, "quarantine", rows); err != nil {
		return err
	}
	clear(q.changed)
	return nil
}

// quarantine makes load skip the table's records up to a generation, and drops what the batch holds of them.
func (l *Loader) quarantine(t *topic, generation uint32, reason string) {
	if generation < t.shown || !l.quarantines.open(t.table, generation, reason) {
		return
	}
	t.unsettled = true // the view may show a later generation already
	l.o.Log.Error("table quarantined: its records are skipped until a new copy", zap.String("table", t.table), zap.String("reason", reason), zap.Uint32("generation", generation))
	for number, g := range t.generations {
		if g.store != nil && number <= generation {
			l.batch.drop(g.store)
		}
	}
}
