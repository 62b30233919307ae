package ledger

import (
	"context"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/schemas"
)

// The legs that may quarantine a table.
const (
	LegCapture = "capture"
	LegLoad    = "load"
)

// QuarantineState is what a row of `quarantine` says; the number is a format.
type QuarantineState uint8

// The states.
const (
	StateClosed   QuarantineState = 0
	StateSkipping QuarantineState = 1 // the table's records are skipped
	StateExcluded QuarantineState = 3 // capture no longer follows the table: complete_up_to has no row of it
)

// Quarantine is the newest row of a table on one leg.
type Quarantine struct {
	// Table is the real name "schema.table".
	Table string
	Leg   string
	// Reason is the text of a problem (cdc.ParseProblem reads it), without a row's value.
	Reason string
	State  QuarantineState
	// Version orders the rows of a table and leg: the highest counts.
	Version uint64
	// Generation is the newest one it concerns; on the capture leg it is the one that capture is at.
	Generation uint32
}

// Quarantines gives the newest row of each table and leg, in that order; none where a loader has never run.
func (l *Ledger) Quarantines(ctx context.Context) ([]Quarantine, error) {
	sql := "SELECT `table`, leg, reason, open, version, generation FROM " + l.table("quarantine") + " FINAL ORDER BY `table`, leg"
	return queryIfThere(ctx, l, "quarantined tables", sql, func(rows driver.Rows) (q Quarantine, err error) {
		err = rows.Scan(&q.Table, &q.Leg, &q.Reason, (*uint8)(&q.State), &q.Version, &q.Generation)
		return q, err
	})
}

// Reasons gives why the records of a table are skipped, by leg; none if they are not, or a loader has never run.
func (l *Ledger) Reasons(ctx context.Context, table string) ([]string, error) {
	sql := "SELECT reason FROM " + l.table("quarantine") + " FINAL WHERE open = " + strconv.Itoa(int(StateSkipping)) +
		" AND `table` = " + schemas.ClickHouseLiteral(table) + " ORDER BY leg"
	return queryIfThere(ctx, l, "quarantined tables", sql, func(rows driver.Rows) (reason string, err error) {
		err = rows.Scan(&reason)
		return reason, err
	})
}

// WriteQuarantines stores rows.
func (l *Ledger) WriteQuarantines(ctx context.Context, list []Quarantine) error {
	return insert(ctx, l, "quarantine", list, func(q Quarantine) []any {
		return []any{q.Table, q.Leg, q.Reason, uint8(q.State), q.Version, q.Generation}
	})
}
