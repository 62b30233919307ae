package clickhouse

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStatusErrors: the newest failure shows until the same work succeeds, whatever else succeeds meanwhile.
func TestStatusErrors(t *testing.T) {
	s := newStatus()
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
	require.Zero(t, s.since("read"))
}

// TestKafkaAway: Kafka being away shows, and no longer does once it is back and the work goes on.
func TestKafkaAway(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "awaited")
	w.fill(tab, 0, 10, 10)
	l := w.load()
	w.wait()
	require.True(t, l.Status().Connected)
	require.NoError(t, stack.Get(t).Kafka.Kill())
	require.Eventually(t, func() bool { return l.Status().LastError != "" }, 60*time.Second, 20*time.Millisecond)
	require.False(t, l.Status().Connected)
	require.NoError(t, stack.Get(t).Kafka.Restart(w.ctx))
	w.connect() // a kfake that was killed does not know its producers any more
	w.fill(tab, 10, 20, 10)
	w.wait()
	require.Eventually(t, func() bool { return l.Status().LastError == "" }, 30*time.Second, 20*time.Millisecond)
	require.True(t, l.Status().Connected)
	require.Equal(t, []string{"20"}, w.query("SELECT count() FROM DB.awaited"))
}
