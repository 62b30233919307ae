package verify

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/ops"
	"dirtbike/schemas"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// completeRow is a row of complete_up_to.
type completeRow struct {
	position
	exact bool
}

// completion reads complete_up_to.
type completion struct {
	conn     driver.Conn
	database string
}

// read gives the rows by table; none where load has never run.
func (c completion) read(ctx context.Context) (map[string]completeRow, error) {
	out := map[string]completeRow{}
	err := queryRows(ctx, c.conn, "SELECT `table`, epoch, lsn, exact FROM "+identifier(c.database)+".complete_up_to", func(rows driver.Rows) error {
		var table string
		var epoch uint32
		var lsn uint64
		var exact uint8
		if err := rows.Scan(&table, &epoch, &lsn, &exact); err != nil {
			return sinkError(err)
		}
		out[table] = completeRow{position{epoch, cdc.LSN(lsn)}, exact != 0}
		return nil
	})
	if gone(err) {
		err = nil
	}
	return out, err
}

// reason says why a table is quarantined; "" if it is not.
func (c completion) reason(ctx context.Context, table string) (string, error) {
	var out []string
	sql := "SELECT reason FROM " + identifier(schemas.StorageDatabase(c.database)) + ".quarantine FINAL WHERE open = 1 AND `table` = " + literal(table)
	err := queryRows(ctx, c.conn, sql, func(rows driver.Rows) error {
		var reason string
		err := rows.Scan(&reason)
		out = append(out, reason)
		return sinkError(err)
	})
	if gone(err) {
		err = nil
	}
	return ops.JoinReasons(out), err
}

// poll asks until done, an error, or the time is over (false).
func poll(ctx context.Context, timeout time.Duration, done func() (bool, error)) (bool, error) {
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
