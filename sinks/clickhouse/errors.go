package clickhouse

import (
	"errors"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// The reasons for which load stops as a whole. They are wrapped with where and what to do.
var (
	// ErrTopicChanged says that a topic was deleted and made again since it was loaded.
	ErrTopicChanged = errors.New("the topic is not the one that was loaded before")
	// ErrSameInstance says that another loader has joined the group under this one's name.
	ErrSameInstance = errors.New("another loader runs under this one's name")
	// ErrGap says that Kafka no longer has records that were not loaded yet.
	ErrGap = errors.New("records are missing between what is loaded and what Kafka still has")
)

// withoutValues is the text of an error without ClickHouse's own message, which may quote a row's value.
func withoutValues(err error) string { return errcode.Explain(err).Error() }

// isStop reports whether load must stop until somebody has decided what to do.
func isStop(err error) bool { return errors.Is(err, ErrTopicChanged) || errors.Is(err, ErrGap) }

// isFinal reports whether the same would fail again: it stops load, or quarantines a table.
func isFinal(err error) bool {
	return errcode.Permanent(err) || isStop(err) || errors.Is(err, cdc.ErrRefused) || errors.Is(err, errContract) || errors.Is(err, errSchema) || errors.Is(err, schemas.ErrNoSchema)
}

// errNoStorage says that a generation has no storage table.
var errNoStorage = fmt.Errorf("is not there: %w", errContract)

// errContract says that a storage table does not have the columns of the registered schema.
var errContract = errors.New("somebody changed it by hand? Try: " + cdc.ResnapshotAllCommand)
