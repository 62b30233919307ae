package wait

import (
	"cmp"
	"context"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/sinks/clickhouse/errcode"
)

// Query calls row with each row, once it is in dest; an error of row ends it.
func Query(ctx context.Context, conn driver.Conn, sql string, dest []any, row func() error) (err error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return ClickHouseError(err)
	}
	defer func() { err = cmp.Or(err, ClickHouseError(rows.Close())) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return ClickHouseError(err)
		}
		if err := row(); err != nil {
			return err
		}
	}
	return ClickHouseError(rows.Err())
}

// ClickHouseError keeps what ClickHouse's code means, without its message, which may quote a value.
func ClickHouseError(err error) error {
	login := status.ClickHouseLogin(err)
	switch code := errcode.Of(err); {
	case err == nil:
		return nil
	case login != nil:
		return login
	case code == proto.ErrAborted: // its own end interrupts the query
		return cdc.Failed("ClickHouse is shutting down").Of(cdc.ErrUnreachable).Fix("see that ClickHouse runs")
	case code != 0:
		return cdc.Failed("ClickHouse refused a query").Because(code).Fix("see system.query_log")
	}
	return cdc.Failed("ClickHouse").Of(cdc.ErrUnreachable).Because(status.ClickHouseAway(err)).Fix("see that ClickHouse runs and clickhouse.url is right")
}

// Missing reports that a table, a column or a database is not there.
func Missing(err error) bool {
	return errcode.Missing(err) || errcode.Of(err) == proto.ErrUnknownIdentifier
}
