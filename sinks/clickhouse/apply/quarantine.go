package apply

import (
	"context"

	"dirtbike/sinks/clickhouse/ledger"
)

// Quarantines are the open and closed rows of `quarantine`, which all loaders share. It is guarded by Loader.mu.
type Quarantines struct {
	Rows    map[QuarantineKey]ledger.Quarantine
	changed map[QuarantineKey]bool // to be written before the applied offsets
}

// QuarantineKey names a table's row of one leg.
type QuarantineKey struct{ Table, Leg string }

// NewQuarantines has none.
func NewQuarantines() *Quarantines {
	return &Quarantines{Rows: map[QuarantineKey]ledger.Quarantine{}, changed: map[QuarantineKey]bool{}}
}

// Load reads what other loaders and earlier sessions wrote.
func (q *Quarantines) Load(ctx context.Context, from *ledger.Ledger) error {
	rows, err := from.Quarantines(ctx)
	for _, r := range rows {
		q.Written(r)
	}
	return err
}

// Skips reports whether records of a generation of the table are skipped.
func (q *Quarantines) Skips(table string, generation uint32) bool {
	r := q.Rows[QuarantineKey{table, ledger.LegLoad}]
	return r.State == ledger.StateSkipping && generation <= r.Generation
}

// Count of the tables and legs that skip records.
func (q *Quarantines) Count() int {
	n := 0
	for _, r := range q.Rows {
		if r.State == ledger.StateSkipping {
			n++
		}
	}
	return n
}

// Set takes a row unless one that is there outranks it, or says the same with another reason.
func (q *Quarantines) Set(r ledger.Quarantine) (changed bool) {
	k := QuarantineKey{r.Table, r.Leg}
	old := q.Rows[k]
	if r.Version <= old.Version || r.State == old.State && r.Generation == old.Generation {
		return false
	}
	q.Rows[k] = r
	q.changed[k] = true
	return true
}

// Open quarantines a table on this leg up to a generation.
func (q *Quarantines) Open(table string, generation uint32, reason string) (changed bool) {
	return q.Set(OfLoad(table, generation, reason))
}

// Lift closes the table's quarantine on this leg if it concerns only generations below the one that the view shows.
func (q *Quarantines) Lift(table string, shown uint32) (lifted bool) {
	r := q.Rows[QuarantineKey{table, ledger.LegLoad}]
	return r.State == ledger.StateSkipping && r.Generation < shown &&
		q.Set(ledger.Quarantine{Table: table, Leg: ledger.LegLoad, State: ledger.StateClosed, Version: r.Version | 1, Generation: r.Generation})
}

// Write stores the rows that changed since they were last taken or written.
func (q *Quarantines) Write(ctx context.Context, to *ledger.Ledger) error {
	rows := q.TakeChanged()
	err := ledger.Write(ctx, to, rows...)
	for _, r := range rows {
		if err != nil {
			q.changed[QuarantineKey{r.Table, r.Leg}] = true
		}
	}
	return err
}

// TakeChanged gives the rows that Write would store, for a batch to write them: they must be written before what was
// taken meanwhile counts as applied.
func (q *Quarantines) TakeChanged() (rows []ledger.Quarantine) {
	for k := range q.changed {
		rows = append(rows, q.Rows[k])
	}
	clear(q.changed)
	return rows
}

// Written takes a row that is in ClickHouse.
func (q *Quarantines) Written(r ledger.Quarantine) {
	if k := (QuarantineKey{r.Table, r.Leg}); r.Version > q.Rows[k].Version {
		q.Rows[k] = r
	}
}

// OfLoad is the row that makes load skip a table's records up to a generation.
func OfLoad(table string, generation uint32, reason string) ledger.Quarantine {
	return ledger.Quarantine{Table: table, Leg: ledger.LegLoad, Reason: reason, State: ledger.StateSkipping, Version: uint64(generation) << 1, Generation: generation}
}
