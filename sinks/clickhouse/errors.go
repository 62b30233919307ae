package clickhouse

import (
	"errors"
	"fmt"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"dirtbike/cdc"
	"dirtbike/schemas"
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

// Codes of ClickHouse's errors that depend on the rows or the tables alone: trying again cannot help.
var hopeless = map[int32]bool{
	6: true, 10: true, 16: true, 20: true, 26: true, 27: true, 33: true, 36: true, 38: true, 41: true, 43: true, 44: true,
	47: true, 50: true, 53: true, 57: true, 60: true, 69: true, 70: true, 72: true, 80: true, 81: true, 117: true, 128: true, 131: true,
	321: true, 349: true, 407: true, 432: true, 441: true, 469: true, 524: true,
}

const codeUnknownTable, codeTypeMismatch = 60, 53

// errorCode gives the code of ClickHouse's own error, 0 if it is none.
func errorCode(err error) int32 {
	var e *chgo.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	if e, ok := ch.AsException(err); ok {
		return int32(e.Code) //nolint:gosec // an error number
	}
	return 0
}

// isHopeless reports whether ClickHouse refused for a reason that will not go away.
func isHopeless(err error) bool { return hopeless[errorCode(err)] }

// withoutValues names ClickHouse's error without its message, which may quote a row's value.
func withoutValues(err error) string {
	if code := errorCode(err); code != 0 {
		if e, ok := ch.AsException(err); ok {
			return fmt.Sprintf("ClickHouse error %d (%s)", code, e.Name)
		}
		return fmt.Sprintf("ClickHouse error %d", code)
	}
	return err.Error()
}

// isStop reports whether load must stop until somebody has decided what to do.
func isStop(err error) bool { return errors.Is(err, ErrTopicChanged) || errors.Is(err, ErrGap) }

// isFinal reports whether the same would fail again: it stops load, or quarantines a table.
func isFinal(err error) bool {
	return isHopeless(err) || isStop(err) || errors.Is(err, errContract) || errors.Is(err, errSchema) || errors.Is(err, schemas.ErrNoSchema)
}

// errContract says that a storage table does not have the columns of the registered schema.
var errContract = errors.New("somebody changed it by hand? Try: " + cdc.StartAnew)
