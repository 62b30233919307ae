package embeddedtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// HostileSettings are settings of Postgres that any role may change, with a value that changes what SQL means or how
// values print, or ends a session; times are in milliseconds. transaction_timeout is long enough for a session to
// begin.
var HostileSettings = map[string]string{
	"application_name": "somebody", "search_path": "public, pg_catalog", "client_encoding": "LATIN1", "DateStyle": "'SQL, DMY'",
	"IntervalStyle": "sql_standard", "TimeZone": "'Asia/Tokyo'", "extra_float_digits": "-15", "bytea_output": "escape", "lc_monetary": "'POSIX'",
	"quote_all_identifiers": "on", "xmlbinary": "hex", "xmloption": "document", "array_nulls": "off", "standard_conforming_strings": "off",
	"backslash_quote": "on", "transform_null_equals": "on", "row_security": "on", "default_transaction_isolation": "serializable",
	"default_transaction_read_only": "on", "default_transaction_deferrable": "on", "statement_timeout": "1", "lock_timeout": "1",
	"idle_in_transaction_session_timeout": "1", "idle_session_timeout": "1", "wal_sender_timeout": "1", "tcp_user_timeout": "1",
	"exit_on_error": "on", "client_min_messages": "debug5", "transaction_timeout": "500",
}

// MakeHostile gives them to a role, a database, or a role in a database ("ROLE r IN DATABASE d"), as far as the server
// knows them.
func MakeHostile(t testing.TB, conn *pgx.Conn, whose string) {
	t.Helper()
	for name, value := range HostileSettings {
		_, err := conn.Exec(t.Context(), "ALTER "+whose+" SET "+name+" = "+value)
		var said *pgconn.PgError
		if errors.As(err, &said) && said.Code == "42704" && strings.HasPrefix(name, "transaction_") {
			continue // before Postgres 17
		}
		require.NoError(t, err, name)
	}
}
