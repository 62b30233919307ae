package clickhouse

import (
	"context"
	"dirtbike/sinks/clickhouse/ledger"

	"go.uber.org/zap"
)

// quarantines are the open and closed rows of `quarantine`, which all loaders share. It is guarded by Loader.mu.
type quarantines struct {
	rows    map[quarantineKey]ledger.Quarantine
	changed map[quarantineKey]bool // to be written before the applied offsets
}

type quarantineKey struct{ table, leg string }

func newQuarantines() *quarantines {
	return &quarantines{rows: map[quarantineKey]ledger.Quarantine{}, changed: map[quarantineKey]bool{}}
}

// load reads what other loaders and earlier sessions wrote.
func (q *quarantines) load(ctx context.Context, from *ledger.Ledger) error {
	rows, err := from.Quarantines(ctx)
	for _, r := range rows {
		if k := (quarantineKey{r.Table, r.Leg}); r.Version > q.rows[k].Version {
			q.rows[k] = r
		}
	}
	return err
}

// skips reports whether records of a generation of the table are skipped.
func (q *quarantines) skips(table string, generation uint32) bool {
	r := q.rows[quarantineKey{table, ledger.LegLoad}]
	return r.State == ledger.StateSkipping && generation <= r.Generation
}

// state says whether the table's newest records are skipped on this leg, and any leg's reason.
func (q *quarantines) state(table string) (skipping bool, reason string) {
	load, capture := q.rows[quarantineKey{table, ledger.LegLoad}], q.rows[quarantineKey{table, ledger.LegCapture}]
	switch {
	case load.State != ledger.StateClosed:
		return load.State == ledger.StateSkipping, load.Reason
	case capture.State == ledger.StateSkipping:
		return true, capture.Reason
	}
	return false, ""
}

func (q *quarantines) count() int {
	n := 0
	for _, r := range q.rows {
		if r.State == ledger.StateSkipping {
			n++
		}
	}
	return n
}

// set takes a row unless one that is there outranks it, or says the same with another reason.
func (q *quarantines) set(k quarantineKey, r ledger.Quarantine) (changed bool) {
	old := q.rows[k]
	if r.Version <= old.Version || r.State == old.State && r.Generation == old.Generation {
		return false
	}
	r.Table, r.Leg = k.table, k.leg
	q.rows[k] = r
	q.changed[k] = true
	return true
}

// open quarantines a table on this leg up to a generation.
func (q *quarantines) open(table string, generation uint32, reason string) (changed bool) {
	return q.set(quarantineKey{table, ledger.LegLoad}, ledger.Quarantine{
		Reason: reason, State: ledger.StateSkipping, Version: uint64(generation) << 1, Generation: generation,
	})
}

// lift closes the table's quarantine on this leg if it concerns only generations below the one that the view shows.
func (q *quarantines) lift(table string, shown uint32) {
	k := quarantineKey{table, ledger.LegLoad}
	if r := q.rows[k]; r.State == ledger.StateSkipping && r.Generation < shown {
		q.set(k, ledger.Quarantine{State: ledger.StateClosed, Version: r.Version | 1, Generation: r.Generation})
	}
}

// write stores the changed rows.
func (q *quarantines) write(ctx context.Context, to *ledger.Ledger) error {
	var rows []ledger.Quarantine
	for k := range q.changed {
		rows = append(rows, q.rows[k])
	}
	if err := to.WriteQuarantines(ctx, rows); err != nil {
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
