package ledger

import (
	"cmp"
	"context"
	"fmt"
	"math/big"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// Ledger reads and writes the bookkeeping of one database. It has no state of its own and is safe for concurrent use;
// its methods ask ClickHouse once, and may be called again after any error.
type Ledger struct {
	conn     driver.Conn
	database string
}

// New gives the ledger of the database that people query. It asks nothing yet. The connection remains the caller's.
func New(conn driver.Conn, database string) *Ledger { return &Ledger{conn, database} }

// table gives the quoted name of a bookkeeping table.
func (l *Ledger) table(name string) string {
	return schemas.ClickHouseIdent(schemas.StorageDatabase(l.database)) + "." + schemas.ClickHouseIdent(name)
}

// query gives the rows of a query; what says, for an error, what is being read.
func query[T any](ctx context.Context, l *Ledger, what, sql string, scan func(driver.Rows) (T, error)) (out []T, err error) {
	rows, err := l.conn.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close() //nolint:errcheck // Err has it
	for rows.Next() && err == nil {
		var row T
		row, err = scan(rows)
		out = append(out, row)
	}
	if err = cmp.Or(err, rows.Err()); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return out, nil
}

// queryIfThere is query for those who may ask before a loader has ever run: then there is no table, and no row.
func queryIfThere[T any](ctx context.Context, l *Ledger, what, sql string, scan func(driver.Rows) (T, error)) ([]T, error) {
	out, err := query(ctx, l, what, sql, scan)
	if errcode.Missing(err) {
		return nil, nil
	}
	return out, err
}

// insert writes a few rows in one INSERT. None is no statement.
func insert[T any](ctx context.Context, l *Ledger, table string, rows []T, columns func(T) []any) error {
	if len(rows) == 0 {
		return nil
	}
	batch, err := l.conn.PrepareBatch(ctx, "INSERT INTO "+l.table(table))
	if err != nil {
		return fmt.Errorf("write %s: %w", table, err)
	}
	defer batch.Close() //nolint:errcheck // Send has it
	for _, row := range rows {
		if err := batch.Append(columns(row)...); err != nil {
			return fmt.Errorf("write %s: %w", table, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("write %s: %w", table, err)
	}
	return nil
}

// Version is a position as ClickHouse's UInt128.
func Version(p cdc.Position) *big.Int { return new(big.Int).SetBytes(p.AppendTo(nil)) }

// positionOf is the inverse of Version.
func positionOf(version *big.Int) cdc.Position {
	p, _ := cdc.UnpackPosition(version.FillBytes(make([]byte, cdc.PositionSize))) // a UInt128 fits
	return p
}
