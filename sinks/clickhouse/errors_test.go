package clickhouse

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
)

// TestErrorTexts: each frequent error says what it means and what to do, from either client, and never what the server said.
func TestErrorTexts(t *testing.T) {
	const value = "canary-1234"
	for code, want := range map[int32]string{
		81:  "ClickHouse error 81 (UNKNOWN_DATABASE): unknown database. Try: look who has dropped clickhouse.database or its _raw twin; a restart of dirtbike makes what is missing",
		159: "ClickHouse error 159 (TIMEOUT_EXCEEDED): a query took too long. Try: look what else ClickHouse is busy with (system.processes)",
		192: "ClickHouse error 192 (UNKNOWN_USER): authentication failed. Try: clickhouse.url's user and password",
		193: "ClickHouse error 193 (WRONG_PASSWORD): authentication failed. Try: clickhouse.url's user and password",
		209: "ClickHouse error 209 (SOCKET_TIMEOUT): ClickHouse's network timed out. Try: look what else ClickHouse is busy with (system.processes)",
		241: "ClickHouse error 241 (MEMORY_LIMIT_EXCEEDED): memory limit exceeded. Try: give ClickHouse more memory, or lower clickhouse.load.batch_bytes",
		243: "ClickHouse error 243 (NOT_ENOUGH_SPACE): its disk is full. Try: free disk space on ClickHouse's data volume",
		252: "ClickHouse error 252 (TOO_MANY_PARTS): too many parts. Try: give its merges time and disk, or raise clickhouse.load.flush_interval",
		497: "ClickHouse error 497 (ACCESS_DENIED): access denied. Try: the grants in the README",
		516: "ClickHouse error 516 (AUTHENTICATION_FAILED): authentication failed. Try: clickhouse.url's user and password",
		27:  "ClickHouse error 27",
	} {
		for _, err := range []error{
			&chgo.Exception{Code: code, Name: "DB::Exception", Message: value},
			&ch.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: value},
		} {
			require.Equal(t, want, withoutValues(err))
			require.Equal(t, want, withoutValues(fmt.Errorf("insert: %w", err)))
			require.Equal(t, want == "ClickHouse error 27" || code == 81, isHopeless(err))
		}
	}
	require.Equal(t, "connection refused", withoutValues(errors.New("connection refused")))
}

// TestMissingGrantIsNamed: of a denied access the privilege and its object are shown, and nothing that follows.
func TestMissingGrantIsNamed(t *testing.T) {
	for said, want := range map[string]string{
		"load: Not enough privileges. To execute this query, it's necessary to have the grant TABLE ENGINE ON Atomic. ":                          "TABLE ENGINE ON Atomic",
		"load: Not enough privileges. To execute this query, it's necessary to have the grant INSERT(id, `a b`) ON clinic_raw.applied. canary-1": "INSERT(id, `a b`) ON clinic_raw.applied",
	} {
		got := withoutValues(&chgo.Exception{Code: 497, Message: said})
		require.Equal(t, "ClickHouse error 497 (ACCESS_DENIED): the grant "+want+" is missing. Try: GRANT "+want+" TO the user of clickhouse.url; the README has all that are needed", got)
		require.NotContains(t, withoutValues(&chgo.Exception{Code: 27, Message: said}), want, "the message of another error may quote a row")
	}
}
