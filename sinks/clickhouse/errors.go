package clickhouse

import (
	"errors"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/table"
)

// The reasons for which load stops as a whole: kinds of a cdc.Problem that says where and what to do.
var (
	ErrTopicChanged = consume.ErrTopicChanged
	ErrSameInstance = consume.ErrSameInstance
	ErrGap          = consume.ErrGap
)

// withoutValues is the text of an error without ClickHouse's own message, which may quote a row's value.
func withoutValues(err error) string { return errcode.Explain(err).Error() }

// isStop reports whether load must stop until somebody has decided what to do.
func isStop(err error) bool { return errors.Is(err, ErrTopicChanged) || errors.Is(err, ErrGap) }

// isFinal reports whether the same would fail again: it stops load, or quarantines a table.
func isFinal(err error) bool {
	return errcode.Permanent(err) || isStop(err) || errors.Is(err, cdc.ErrRefused) || errors.Is(err, table.ErrContract) ||
		errors.Is(err, errSchema) || errors.Is(err, schemas.ErrNoSchema)
}
