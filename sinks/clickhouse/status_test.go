package clickhouse

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStatusErrors: the newest failure shows until the same work succeeds, whatever else succeeds meanwhile.
func TestStatusErrors(t *testing.T) {
	var s status
	require.False(t, s.now.Connected)
	s.recovered("prepare")
	require.True(t, s.now.Connected)
	s.failed("read", errors.New("gone"))
	s.failed("insert", errors.New("full"))
	s.recovered("prepare")
	require.False(t, s.now.Connected)
	require.Equal(t, "insert: full", s.now.LastError)
	s.recovered("insert")
	require.Equal(t, "read: gone", s.now.LastError)
	require.Positive(t, s.since("read"))
	s.recovered("read")
	require.True(t, s.now.Connected)
	require.Empty(t, s.now.LastError)
	require.False(t, s.now.LastErrorAt.IsZero())
	require.Zero(t, s.since("read"))
}
