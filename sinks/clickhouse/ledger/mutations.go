package ledger

import (
	"context"

	"github.com/ClickHouse/ch-go/proto"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// Mutation is what somebody has had done to the rows that a storage table has: ClickHouse keeps the last hundred of
// each table.
type Mutation struct {
	Storage string // its name, without the database
	Command string // Command as ClickHouse prints it, shortened; it may hold a row's values
}

// Mutations lists them, the oldest first, without those of indexes and projections. It is nil where the login may not
// read system.mutations.
func (l *Ledger) Mutations(ctx context.Context) ([]Mutation, error) {
	sql := "SELECT table, substring(trimLeft(command, '('), 1, 1000) AS text FROM system.mutations WHERE database = " +
		schemas.ClickHouseLiteral(schemas.StorageDatabase(l.database)) +
		" AND match(text, '^(DROP COLUMN|CLEAR COLUMN|MODIFY COLUMN|RENAME COLUMN|UPDATE|DELETE|MATERIALIZE TTL)\\\\b')" +
		" ORDER BY table, toUInt64OrZero(extract(mutation_id, '[0-9]+'))"
	list, err := query(ctx, l, "what was done to storage", sql, func(m *Mutation) []any { return []any{&m.Storage, &m.Command} })
	if errcode.Of(err) == proto.ErrAccessDenied {
		return nil, nil
	}
	return list, err
}
