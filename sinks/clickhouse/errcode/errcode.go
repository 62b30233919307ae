// Package errcode says what an error of ClickHouse means, by its code. The server's own message may quote a row's
// value, so it is never shown.
package errcode

import (
	"errors"
	"regexp"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"dirtbike/cdc"
)

// Of gives the code of ClickHouse's own error, from either client or explained; 0 if it is none.
func Of(err error) proto.Error {
	var e *chgo.Exception
	if errors.As(err, &e) {
		return proto.Error(e.Code)
	}
	if e, ok := ch.AsException(err); ok {
		return e.Code
	}
	var code proto.Error
	errors.As(err, &code)
	return code
}

// Missing reports whether a table or a database is not there.
func Missing(err error) bool {
	code := Of(err)
	return code == proto.ErrUnknownTable || code == proto.ErrUnknownDatabase
}

// RefusesLogin reports whether ClickHouse does not accept the user or the password.
func RefusesLogin(err error) bool {
	code := Of(err)
	return code == proto.ErrUnknownUser || code == proto.ErrWrongPassword || code == proto.ErrAuthenticationFailed
}

// Permanent reports whether ClickHouse refused for a reason that depends on the rows or the tables alone: trying again
// cannot help.
func Permanent(err error) bool { return slices.Contains(permanentErrors, Of(err)) }

var permanentErrors = []proto.Error{
	proto.ErrCannotParseText, proto.ErrNotFoundColumnInBlock, proto.ErrNoSuchColumnInTable, proto.ErrNumberOfColumnsDoesntMatch,
	proto.ErrCannotParseQuotedString, proto.ErrCannotParseInputAssertionFailed, proto.ErrCannotReadAllData, proto.ErrBadArguments,
	proto.ErrCannotParseDate, proto.ErrCannotParseDatetime, proto.ErrIllegalTypeOfArgument, proto.ErrIllegalColumn, proto.ErrUnknownIdentifier,
	proto.ErrUnknownType, proto.ErrTypeMismatch, proto.ErrTableAlreadyExists, proto.ErrUnknownTable, proto.ErrArgumentOutOfBound,
	proto.ErrCannotConvertType, proto.ErrCannotParseNumber, proto.ErrIncorrectQuery, proto.ErrUnknownDatabase, proto.ErrIncorrectData,
	proto.ErrTooLargeArraySize, proto.ErrTooLargeStringSize, proto.ErrValueIsOutOfRangeOfDataType, proto.ErrCannotInsertNullInOrdinaryColumn,
	proto.ErrDecimalOverflow, proto.ErrUnknownCodec, proto.ErrCannotParseDomainValueFromString, proto.ErrViolatedConstraint,
	proto.ErrAlterOfColumnIsForbidden,
}

// meaning is what the person who runs the pipeline needs to know about a code.
type meaning struct{ what, fix string }

// Ways out that several codes share.
const (
	fixLogin = "clickhouse.url's user and password"
	fixLoad  = "find out what else ClickHouse is busy with (system.processes)"
)

// meanings has the codes that are met most often.
var meanings = map[proto.Error]meaning{
	proto.ErrUnknownDatabase:      {"unknown database", "find out who has dropped clickhouse.database or its _raw twin; a restart of dirtbike makes what is missing"},
	proto.ErrTimeoutExceeded:      {"a query took too long", fixLoad},
	proto.ErrUnknownUser:          {"authentication failed", fixLogin},
	proto.ErrWrongPassword:        {"authentication failed", fixLogin},
	proto.ErrAuthenticationFailed: {"authentication failed", fixLogin},
	proto.ErrSocketTimeout:        {"ClickHouse's network timed out", fixLoad},
	proto.ErrMemoryLimitExceeded:  {"memory limit exceeded", "give ClickHouse more memory, or lower clickhouse.load.batch_bytes"},
	proto.ErrNotEnoughSpace:       {"its disk is full", "free disk space on ClickHouse's data volume"},
	proto.ErrTooManyParts:         {"too many parts", "give its merges time and disk, or raise clickhouse.load.flush_interval"},
	proto.ErrAccessDenied:         {"access denied", "dirtbike explain clickhouse-grants"},
}

// Explain gives ClickHouse's own error as a Problem with its meaning, its code and what to do, without the server's
// message, but with the missing grant that it names. Any other error is given back as it is. Of finds the code in the
// result, too.
func Explain(err error) error {
	code := Of(err)
	if code == 0 {
		return err
	}
	p := &cdc.Problem{Where: "ClickHouse", Cause: code}
	if grant := missingGrant.FindStringSubmatch(err.Error()); code == proto.ErrAccessDenied && grant != nil {
		p.What = "the grant " + grant[1] + " is missing"
		return p.Fix("GRANT %s TO the user of clickhouse.url; dirtbike explain clickhouse-grants lists all that are needed", grant[1])
	}
	if m, known := meanings[code]; known {
		p.What = m.what
		return p.Fix("%s", m.fix)
	}
	return p
}

// missingGrant finds in the message of a denied access what it names: a privilege and an object, never a value.
var missingGrant = regexp.MustCompile("necessary to have the grant ([A-Z][A-Z ]*(?:\\([\\w, `]*\\))? ON [\\w`*]+(?:\\.[\\w`*]+)?)")
