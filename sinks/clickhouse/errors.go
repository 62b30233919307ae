package clickhouse

import (
	"errors"
	"fmt"
	"regexp"

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

const codeUnknownTable, codeUnknownDatabase, codeTypeMismatch, codeDenied = 60, 81, 53, 497

// refusesLogin has UNKNOWN_USER, WRONG_PASSWORD and AUTHENTICATION_FAILED.
var refusesLogin = map[int32]bool{192: true, 193: true, 516: true}

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

// Ways out that several codes share.
const (
	tryLogin = "Try: clickhouse.url's user and password"
	tryLoad  = "Try: look what else ClickHouse is busy with (system.processes)"
)

// explained has the name and the meaning of the codes that are met most often, and the way out.
var explained = map[int32]string{
	81:  "(UNKNOWN_DATABASE): unknown database. Try: look who has dropped clickhouse.database or its _raw twin; a restart of dirtbike makes what is missing",
	159: "(TIMEOUT_EXCEEDED): a query took too long. " + tryLoad,
	192: "(UNKNOWN_USER): authentication failed. " + tryLogin,
	193: "(WRONG_PASSWORD): authentication failed. " + tryLogin,
	209: "(SOCKET_TIMEOUT): ClickHouse's network timed out. " + tryLoad,
	241: "(MEMORY_LIMIT_EXCEEDED): memory limit exceeded. Try: give ClickHouse more memory, or lower clickhouse.load.batch_bytes",
	243: "(NOT_ENOUGH_SPACE): its disk is full. Try: free disk space on ClickHouse's data volume",
	252: "(TOO_MANY_PARTS): too many parts. Try: give its merges time and disk, or raise clickhouse.load.flush_interval",
	497: "(ACCESS_DENIED): access denied. Try: the grants in the README",
	516: "(AUTHENTICATION_FAILED): authentication failed. " + tryLogin,
}

// missingGrant finds in the message of a denied access what it names: a privilege and an object, never a value.
var missingGrant = regexp.MustCompile("necessary to have the grant ([A-Z][A-Z ]*(?:\\([\\w, `]*\\))? ON [\\w`*]+(?:\\.[\\w`*]+)?)")

// withoutValues names ClickHouse's error without its message, which may quote a row's value.
func withoutValues(err error) string {
	code := errorCode(err)
	if code == 0 {
		return err.Error()
	}
	said := fmt.Sprintf("ClickHouse error %d", code)
	if m := missingGrant.FindStringSubmatch(err.Error()); code == codeDenied && m != nil {
		return said + " (ACCESS_DENIED): the grant " + m[1] + " is missing. Try: GRANT " + m[1] + " TO the user of clickhouse.url; the README has all that are needed"
	}
	if meaning := explained[code]; meaning != "" {
		said += " " + meaning
	}
	return said
}

// isStop reports whether load must stop until somebody has decided what to do.
func isStop(err error) bool { return errors.Is(err, ErrTopicChanged) || errors.Is(err, ErrGap) }

// isFinal reports whether the same would fail again: it stops load, or quarantines a table.
func isFinal(err error) bool {
	return isHopeless(err) || isStop(err) || errors.Is(err, cdc.ErrRefused) || errors.Is(err, errContract) || errors.Is(err, errSchema) || errors.Is(err, schemas.ErrNoSchema)
}

// errNoStorage says that a generation has no storage table.
var errNoStorage = fmt.Errorf("is not there: %w", errContract)

// errContract says that a storage table does not have the columns of the registered schema.
var errContract = errors.New("somebody changed it by hand? Try: " + cdc.ResnapshotAllCommand)
