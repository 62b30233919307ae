// Package errcode says what an error of ClickHouse means, by its code. The server's own message may quote a row's
// value, so it is never shown.
package errcode

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"syscall"

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

// OwnerOf says whose the error is. An error without a code of ClickHouse is OfUnknown.
func OwnerOf(err error) Owner { return codes[Of(err)].owner }

// Away reports whether the server did not answer: it has no code, and the connection failed. Everybody waits then.
func Away(err error) bool {
	var network net.Error
	if Of(err) != 0 {
		return false
	}
	for _, lost := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, context.DeadlineExceeded, context.Canceled, ch.ErrClosed,
		chgo.ErrAcquireConnTimeout, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return errors.As(err, &network)
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
	switch m, known := codes[code]; {
	case !known:
		return p.Fix("see what ClickHouse's own log says of it")
	case m.what != "":
		p.What = m.what
		return p.Fix("%s", m.fix)
	}
	return p
}

// missingGrant finds in the message of a denied access what it names: a privilege and an object, never a value.
var missingGrant = regexp.MustCompile("necessary to have the grant ([A-Z][A-Z ]*(?:\\([\\w, `]*\\))? ON [\\w`*]+(?:\\.[\\w`*]+)?)")
