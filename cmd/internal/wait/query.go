package wait

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"dirtbike/cmd/internal/status"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Query calls row with each row.
func Query(ctx context.Context, conn driver.Conn, sql string, row func(rows driver.Rows) error) (err error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return ClickHouseError(err)
	}
	defer func() { err = cmp.Or(err, ClickHouseError(rows.Close())) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return ClickHouseError(rows.Err())
}

// ClickHouseError keeps ClickHouse's code and the beginning of its message, which names tables and columns but no row.
func ClickHouseError(err error) error {
	var exception *clickhouse.Exception
	login := status.ClickHouseLogin(err)
	switch {
	case err == nil:
		return nil
	case login != nil:
		return login
	case errors.As(err, &exception) && exception.Code == codeAborted:
		return fmt.Errorf("%w: ClickHouse is shutting down. Try: see that ClickHouse runs", ErrUnreachable)
	case errors.As(err, &exception):
		return &refusedError{exception.Code}
	}
	return fmt.Errorf("%w: ClickHouse: %w. Try: see that ClickHouse runs and clickhouse.url is right", ErrUnreachable, status.ClickHouseAway(err))
}

// codeAborted is what ClickHouse says to those whom its own end interrupts.
const codeAborted = 236

// refusedError is ClickHouse's refusal; its message may quote a value and is dropped.
type refusedError struct{ code int32 }

func (e *refusedError) Error() string {
	return fmt.Sprintf("ClickHouse refused a query of verify (code %d). Try: see system.query_log", e.code)
}

// Missing reports that a table, a column or a database is not there.
func Missing(err error) bool {
	const unknownIdentifier, unknownTable, unknownDatabase = 47, 60, 81
	var refused *refusedError
	return errors.As(err, &refused) && (refused.code == unknownTable || refused.code == unknownDatabase || refused.code == unknownIdentifier)
}
