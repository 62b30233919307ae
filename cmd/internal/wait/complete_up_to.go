package wait

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/schemas"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// CompleteRow is a row of complete_up_to.
type CompleteRow struct {
	Position
	Exact bool
}

// CompleteUpTo reads the view complete_up_to and the quarantine beside it. It is as safe for concurrent use as Conn.
type CompleteUpTo struct {
	Conn     driver.Conn
	Database string
}

// Read gives the rows by table; none where load has never run.
func (c CompleteUpTo) Read(ctx context.Context) (map[string]CompleteRow, error) {
	out := map[string]CompleteRow{}
	err := Query(ctx, c.Conn, "SELECT `table`, epoch, lsn, exact FROM "+Identifier(c.Database)+".complete_up_to", func(rows driver.Rows) error {
		var table string
		var epoch uint32
		var lsn uint64
		var exact uint8
		if err := rows.Scan(&table, &epoch, &lsn, &exact); err != nil {
			return ClickHouseError(err)
		}
		out[table] = CompleteRow{Position{epoch, cdc.LSN(lsn)}, exact != 0}
		return nil
	})
	if Missing(err) {
		err = nil
	}
	return out, err
}

// QuarantineReason says why a table is quarantined; "" if it is not.
func (c CompleteUpTo) QuarantineReason(ctx context.Context, table string) (string, error) {
	var out []string
	sql := "SELECT reason FROM " + Identifier(schemas.StorageDatabase(c.Database)) + ".quarantine FINAL WHERE open = 1 AND `table` = " + Literal(table)
	err := Query(ctx, c.Conn, sql, func(rows driver.Rows) error {
		var reason string
		err := rows.Scan(&reason)
		out = append(out, reason)
		return ClickHouseError(err)
	})
	if Missing(err) {
		err = nil
	}
	return status.JoinReasons(out), err
}

// Poll asks until done, an error, or the time is over (false).
func Poll(ctx context.Context, timeout time.Duration, done func() (bool, error)) (bool, error) {
	over := time.NewTimer(timeout)
	defer over.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-over.C:
			return false, nil
		case <-tick.C:
		}
	}
}
