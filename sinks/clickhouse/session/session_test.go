package session

import (
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// TestEachPinnedSettingHasAHostileValue: the end-to-end test (cmd/dirtbike, TestEnvironment) tries what is pinned. One
// is left out, because the embedded stack's own question is SQL, too.
func TestEachPinnedSettingHasAHostileValue(t *testing.T) {
	for name, value := range pinned {
		hostile, has := embeddedtest.HostileClickHouse[name]
		require.True(t, has || name == "dialect", name)
		require.NotEqual(t, hostile, value, name)
	}
	for name := range embeddedtest.HostileClickHouse {
		require.Contains(t, pinned, name)
	}
}

func TestRefused(t *testing.T) {
	for code, want := range map[proto.Error]bool{
		proto.ErrSettingConstraintViolation: true, proto.ErrReadonly: true, proto.ErrUnknownSetting: true, proto.ErrMemoryLimitExceeded: false,
	} {
		require.Equal(t, want, Refused(&clickhouse.Exception{Code: int32(code)}), code)
	}
	require.False(t, Refused(nil))
}

// TestNothingIsWrittenToStandardOutput: the client would write there what it sends and gets.
func TestNothingIsWrittenToStandardOutput(t *testing.T) {
	o, err := clickhouse.ParseDSN("clickhouse://user@127.0.0.1:9000?debug=true")
	require.NoError(t, err)
	require.True(t, o.Debug) //nolint:staticcheck // see quiet
	ours := quiet(o)
	require.False(t, ours.Debug) //nolint:staticcheck // see quiet
}
