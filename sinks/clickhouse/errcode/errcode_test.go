package errcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestExplain: each frequent error says what it means and what to do, from either client, and never what the server
// said.
func TestExplain(t *testing.T) {
	const value = "canary-1234"
	for _, c := range []struct {
		code   proto.Error
		owner  Owner
		hasFix bool
	}{
		{proto.ErrUnknownDatabase, OfStorage, true}, {proto.ErrTimeoutExceeded, OfServer, true}, {proto.ErrUnknownUser, OfLogin, true},
		{proto.ErrWrongPassword, OfLogin, true}, {proto.ErrSocketTimeout, OfServer, true}, {proto.ErrMemoryLimitExceeded, OfServer, true},
		{proto.ErrNotEnoughSpace, OfServer, true}, {proto.ErrTooManyParts, OfTable, true}, {proto.ErrAccessDenied, OfLogin, true},
		{proto.ErrAuthenticationFailed, OfLogin, true}, {proto.ErrCannotParseInputAssertionFailed, OfRows, false},
		{proto.ErrUnknownTable, OfStorage, true}, {proto.ErrMultipleExpressionsForAlias, OfRows, false}, {proto.ErrSyntaxError, OfRows, false},
		{proto.ErrTableIsReadOnly, OfTable, true}, {proto.ErrQuotaExceeded, OfServer, true}, {proto.Error(99999), OfUnknown, true},
	} {
		for _, err := range []error{
			&chgo.Exception{Code: int32(c.code), Name: "DB::Exception", Message: value},
			&ch.Exception{Code: c.code, Name: "DB::Exception", Message: value},
			fmt.Errorf("insert: %w", &chgo.Exception{Code: int32(c.code), Message: value}),
		} {
			var p *cdc.Problem
			explained := Explain(err)
			require.ErrorAs(t, explained, &p)
			require.Equal(t, c.hasFix, len(p.Try) == 1, c.code)
			require.NotContains(t, explained.Error(), value)
			require.Equal(t, c.code, Of(explained))
			require.Equal(t, explained.Error(), Explain(explained).Error(), "explained twice")
			require.Equal(t, c.owner, OwnerOf(err), c.code)
			require.Equal(t, c.owner, OwnerOf(explained), c.code)
			require.False(t, Away(err), c.code)
		}
	}
	refused := errors.New("connection refused")
	require.Equal(t, refused, Explain(refused))
	require.Zero(t, Of(refused))
	require.NoError(t, Explain(nil))
}

// TestEveryCodeHasAnOwnerAndAWayOut: what may be changed by hand says how; rows that are refused have a new copy.
func TestEveryCodeHasAnOwnerAndAWayOut(t *testing.T) {
	for code, known := range codes {
		require.NotEqual(t, OfUnknown, known.owner, code)
		require.Equal(t, known.owner != OfRows, known.fix != "", code)
		require.NotContains(t, known.fix+known.what, "\n")
	}
}

// TestAway: what the connection fails with, and no error of the server itself.
func TestAway(t *testing.T) {
	for _, err := range []error{io.EOF, context.DeadlineExceeded, ch.ErrClosed, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}} {
		require.True(t, Away(fmt.Errorf("insert: %w", err)))
	}
	for _, err := range []error{nil, errors.New("a block does not fit"), &ch.Exception{Code: 210}} {
		require.False(t, Away(err))
	}
}

func TestCodes(t *testing.T) {
	for _, code := range []int32{192, 193, 516} {
		require.True(t, RefusesLogin(&chgo.Exception{Code: code}))
	}
	require.False(t, RefusesLogin(&chgo.Exception{Code: 497}))
	require.True(t, Missing(&chgo.Exception{Code: 60}))
	require.True(t, Missing(&ch.Exception{Code: 81}))
	require.False(t, Missing(nil))
}

// TestMissingGrantIsNamed: of a denied access the privilege and its object are shown, and nothing that follows.
func TestMissingGrantIsNamed(t *testing.T) {
	for said, want := range map[string]string{
		"load: Not enough privileges. To execute this query, it's necessary to have the grant TABLE ENGINE ON Atomic. ":                          "TABLE ENGINE ON Atomic",
		"load: Not enough privileges. To execute this query, it's necessary to have the grant INSERT(id, `a b`) ON clinic_raw.applied. canary-1": "INSERT(id, `a b`) ON clinic_raw.applied",
	} {
		p := cdc.Explain(Explain(&chgo.Exception{Code: 497, Message: said}))
		require.Contains(t, p.What, "the grant "+want+" is missing")
		require.NotContains(t, p.What, "canary")
		require.Len(t, p.Try, 1)
		require.Contains(t, p.Try[0].Command, "GRANT "+want+" TO ")
		require.NotContains(t, Explain(&chgo.Exception{Code: 27, Message: said}).Error(), want, "the message of another error may quote a row")
	}
}
