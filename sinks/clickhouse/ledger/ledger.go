// Package ledger has all SQL about the tables in "<database>_raw" in which the loaders of a pipeline keep what they
// know: writing them and reading them, for the loaders themselves and for status, wait, verify and check.
//
// The tables, each a ReplacingMergeTree whose highest version of a key wins, so that a row may be written again at any
// time:
//
//	applied      how far a partition of a topic is in ClickHouse
//	generations  the open and end records of each copy of a table
//	cuts         the TRUNCATEs that hide earlier rows
//	quarantine   tables whose records are skipped, or that capture does not follow
//	gone         rows that are known to be missing
//	shown        which generation a table's view shows
//	complete     up to which commit a table is queryable; people read it through the view complete_up_to
//	notices      which tables wait in a loader, and which topics have records of other writers
//
// A loader writes them in this order (rules 13 and 21): opened generations, then rows, then quarantines, cuts, ended
// generations and missing rows, then applied offsets. A crash after any of these repeats the batch, which writes the
// same again.
package ledger

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
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

// stopGrace is how long a statement may still take after a stop: ClickHouse is not cut off while it answers.
const stopGrace = 3 * time.Second

// Statement gives the context of one statement: one that has begun when ctx is cancelled may end.
func Statement(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return ctx, func() {}
	}
	deadline := time.Now().Add(statementTimeout)
	if d, has := ctx.Deadline(); has && d.Before(deadline) {
		deadline = d
	}
	out, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-out.Done():
		case <-time.After(stopGrace):
			cancel()
		}
	})
	return out, func() { stop(); cancel() }
}

// statementTimeout bounds one statement: a connection that hangs is closed, and the statement repeated.
const statementTimeout = 5 * time.Minute

// Exec runs a statement without an answer; doing says, for an error, what it does.
func (l *Ledger) Exec(ctx context.Context, doing, sql string) error {
	ctx, cancel := Statement(ctx)
	defer cancel()
	if err := l.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", doing, errcode.Explain(err))
	}
	return nil
}

// Ask reads the one row of a query.
func (l *Ledger) Ask(ctx context.Context, doing, sql string, into ...any) error {
	ctx, cancel := Statement(ctx)
	defer cancel()
	if err := l.conn.QueryRow(ctx, sql).Scan(into...); err != nil {
		return fmt.Errorf("%s: %w", doing, errcode.Explain(err))
	}
	return nil
}

// mostAnswer is the most bytes of an answer that is read into memory: beyond it ClickHouse ends the query with an error
// (code 396), whoever wrote what it would have to send.
const mostAnswer = 64 << 20

// query gives the rows of a query; what says, for an error, what is being read, and fields lists those of a row in the
// order of the columns.
func query[T any](ctx context.Context, l *Ledger, what, sql string, fields func(*T) []any) (out []T, err error) {
	ctx, cancel := Statement(ctx)
	defer cancel()
	rows, err := l.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_result_bytes": mostAnswer})), sql)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, errcode.Explain(err))
	}
	defer rows.Close() //nolint:errcheck // Err has it
	for rows.Next() && err == nil {
		var row T
		values, take := wireAll(fields(&row))
		err = rows.Scan(values...)
		take()
		out = append(out, row)
	}
	if err = cmp.Or(err, rows.Err()); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, errcode.Explain(err))
	}
	return out, nil
}

// queryIfThere is query for those who may ask before a loader has ever run: then there is no table, and no row.
func queryIfThere[T any](ctx context.Context, l *Ledger, what, sql string, fields func(*T) []any) ([]T, error) {
	out, err := query(ctx, l, what, sql, fields)
	if errcode.Missing(err) {
		return nil, nil
	}
	return out, err
}

// row is what a bookkeeping table has rows of. Writing one again changes nothing, nor does one that another outranks.
type row[T any] interface {
	*T
	table() string
	fields() []any // in the order of the columns
}

// Write stores rows of a bookkeeping table in one INSERT. None is no statement.
func Write[T any, R row[T]](ctx context.Context, l *Ledger, rows ...T) error {
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := Statement(ctx)
	defer cancel()
	table := R(nil).table()
	batch, err := l.conn.PrepareBatch(ctx, "INSERT INTO "+l.table(table))
	if err != nil {
		return fmt.Errorf("write %s: %w", table, errcode.Explain(err))
	}
	defer batch.Close() //nolint:errcheck // Send has it
	for i := range rows {
		values, _ := wireAll(R(&rows[i]).fields())
		for i, v := range values {
			if text, is := v.(*string); is {
				values[i] = *text // the driver's LowCardinality compares what it is given
			}
		}
		if err := batch.Append(values...); err != nil {
			return fmt.Errorf("write %s: %w", table, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("write %s: %w", table, errcode.Explain(err))
	}
	return nil
}

// wireAll gives what the driver reads or writes for fields; take puts what was read into them.
func wireAll(fields []any) (values []any, take func()) {
	takes := make([]func(), len(fields))
	for i, f := range fields {
		fields[i], takes[i] = wire(f)
	}
	return fields, func() {
		for _, take := range takes {
			take()
		}
	}
}

// wire gives the driver's type for one that it does not convert: numbers are unsigned in ClickHouse.
func wire(field any) (value any, take func()) {
	switch f := field.(type) {
	case *int32:
		v := uint32(*f)                     //nolint:gosec // never negative
		return &v, func() { *f = int32(v) } //nolint:gosec // a partition
	case *int64:
		v := uint64(*f)                     //nolint:gosec // never negative
		return &v, func() { *f = int64(v) } //nolint:gosec // an offset or a count
	case *bool:
		var v uint8
		if *f {
			v = 1
		}
		return &v, func() { *f = v == 1 }
	case *cdc.Position:
		v := Version(*f)
		return v, func() { *f = positionOf(v) }
	}
	return field, func() {}
}

// Version is a position as ClickHouse's UInt128.
func Version(p cdc.Position) *big.Int { return new(big.Int).SetBytes(p.AppendTo(nil)) }

// positionOf is the inverse of Version.
func positionOf(version *big.Int) cdc.Position {
	p, _ := cdc.UnpackPosition(version.FillBytes(make([]byte, cdc.PositionSize))) // a UInt128 fits
	return p
}
