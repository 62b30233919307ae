package errcode

import (
	"errors"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
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
func Permanent(err error) bool { return permanentErrors[Of(err)] }

var permanentErrors = map[proto.Error]bool{
	proto.ErrCannotParseText:                  true,
	proto.ErrNotFoundColumnInBlock:            true,
	proto.ErrNoSuchColumnInTable:              true,
	proto.ErrNumberOfColumnsDoesntMatch:       true,
	proto.ErrCannotParseQuotedString:          true,
	proto.ErrCannotParseInputAssertionFailed:  true,
	proto.ErrCannotReadAllData:                true,
	proto.ErrBadArguments:                     true,
	proto.ErrCannotParseDate:                  true,
	proto.ErrCannotParseDatetime:              true,
	proto.ErrIllegalTypeOfArgument:            true,
	proto.ErrIllegalColumn:                    true,
	proto.ErrUnknownIdentifier:                true,
	proto.ErrUnknownType:                      true,
	proto.ErrTypeMismatch:                     true,
	proto.ErrTableAlreadyExists:               true,
	proto.ErrUnknownTable:                     true,
	proto.ErrArgumentOutOfBound:               true,
	proto.ErrCannotConvertType:                true,
	proto.ErrCannotParseNumber:                true,
	proto.ErrIncorrectQuery:                   true,
	proto.ErrUnknownDatabase:                  true,
	proto.ErrIncorrectData:                    true,
	proto.ErrTooLargeArraySize:                true,
	proto.ErrTooLargeStringSize:               true,
	proto.ErrValueIsOutOfRangeOfDataType:      true,
	proto.ErrCannotInsertNullInOrdinaryColumn: true,
	proto.ErrDecimalOverflow:                  true,
	proto.ErrUnknownCodec:                     true,
	proto.ErrCannotParseDomainValueFromString: true,
	proto.ErrViolatedConstraint:               true,
	proto.ErrAlterOfColumnIsForbidden:         true,
}
