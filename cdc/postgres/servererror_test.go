package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestServerErrorsHoldNoValue(t *testing.T) {
	for code, safe := range map[string]bool{
		"42501": true, "55P03": true, "57014": true, "53300": true, "08006": true,
		"22021": false, "22P02": false, "22P05": false, "23505": false, "55P04": false, "P0001": false, "XX000": false, "XX001": false, "38000": false, "": false,
	} {
		said := ServerError(code, "canary-1")
		require.Contains(t, said, code)
		require.Equal(t, safe, said == "canary-1 ("+code+")", code)
		if !safe {
			require.NotContains(t, said, "canary")
		}
	}
	for _, code := range []string{"42501", "53100", "08006", "57P01", "P0001", "22012"} { // a function may raise any
		raised := &pgconn.PgError{Code: code, Message: "canary-1", Where: "PL/pgSQL function f(integer) line 1 at RAISE"}
		require.Contains(t, Said(raised), code)
		require.NotContains(t, Said(raised), "canary")
		require.False(t, Passing(raised), "it is its table's trouble")
	}
	own := &pgconn.PgError{Code: "53100", Message: "could not extend file"}
	require.Equal(t, "could not extend file (53100)", Said(own))
	require.True(t, Passing(own))
	require.False(t, Passing(&pgconn.PgError{Code: "42501"}))
	require.True(t, BadValue("22P05"))
	require.True(t, BadValue("XX001"))
	require.False(t, BadValue("42501"))
}
