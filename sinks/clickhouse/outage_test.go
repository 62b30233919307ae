package clickhouse

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStatusErrors: the newest failure shows until the same work succeeds, whatever else succeeds meanwhile.
func TestStatusErrors(t *testing.T) {
	l := &Loader{outage: newOutage(nil, time.Minute, nil)}
	s := l.outage
	require.Empty(t, l.LastError())
	s.failed("read", errors.New("gone"))
	s.failed("insert", errors.New("full"))
	s.recovered("prepare")
	require.Equal(t, "insert: full", l.LastError())
	s.recovered("insert")
	require.Equal(t, "read: gone", l.LastError())
	require.Positive(t, s.since("read"))
	s.recovered("read")
	require.Empty(t, l.LastError())
	require.Zero(t, s.since("read"))
}

// TestKafkaAway: Kafka being away shows, and no longer does once it is back and the work goes on.
func TestKafkaAway(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "awaited")
	w.fill(tab, 0, 10, 10)
	l := w.load()
	w.wait()
	require.Empty(t, l.LastError())
	require.NoError(t, stack.Get(t).Kafka.Kill())
	require.Eventually(t, func() bool { return l.LastError() != "" }, 60*time.Second, 20*time.Millisecond)
	require.NoError(t, stack.Get(t).Kafka.Restart(w.ctx))
	w.connect() // a kfake that was killed does not know its producers any more
	w.fill(tab, 10, 20, 10)
	w.wait()
	require.Eventually(t, func() bool { return l.LastError() == "" }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, []string{"20"}, w.query("SELECT count() FROM DB.awaited"))
}
