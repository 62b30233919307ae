package clickhouse

import (
	"errors"
	"slices"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// The reasons for which load stops: kinds of a cdc.Problem that says where and what to do.
var (
	ErrTopicChanged = consume.ErrTopicChanged
	ErrSameInstance = consume.ErrSameInstance
	ErrGap          = consume.ErrGap
	ErrProgress     = complete.ErrProgress
	ErrBookkeeping  = ledger.ErrBookkeeping
)

// Stop is a reason for which load as a whole ends until a person has decided.
type Stop struct {
	Kind error
	When string // as in cmd/dirtbike/OPERATIONS.md
}

// Stops is the closed list of what ends load. Whatever else happens makes one table wait or quarantines it, or is a
// state of a server, which is waited for.
var Stops = []Stop{
	{ErrTopicChanged, "Kafka is another one, or was rebuilt: the progress topic is gone or has another id"},
	{ErrGap, "the progress topic was restored from an older copy, or lacks what was not read"},
	{ErrProgress, "a record of the progress or control topic cannot be read"},
	{ErrSameInstance, "another loader runs under this one's name"},
	{ErrBookkeeping, "a bookkeeping table was dropped or changed, and stays so for a minute, or a start misses it"},
	{cdc.ErrRefused, "clickhouse.url's first login is refused, its settings profile would cut what the views show, or the database belongs to another pipeline"},
}

// isStop reports whether load must stop until a person has decided what to do.
func isStop(err error) bool {
	return slices.ContainsFunc(Stops, func(s Stop) bool { return errors.Is(err, s.Kind) })
}
