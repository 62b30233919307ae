package capture

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestDriftQuarantines: a table that changed without an event is quarantined within the interval, with and without
// traffic; the others go on.
func TestDriftQuarantines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.tables.drift.Store(&map[uint32]error{1: errors.New("the table was dropped")})
		time.Sleep(2 * r.capture.o.DriftInterval) // the bubble's clock
		synctest.Wait()
		r.server.add(insert(1, "out"), insert(2, "in"))
		r.caughtUp(t)
		records, state := r.snapshot()
		require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
		require.Equal(t, "the table was dropped. Try: dirtbike resnapshot public.a", state.Tables["public.a"].Reason)
		require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
		require.Len(t, changes(records), 1)
		require.NoError(t, stop())
	})
}

// TestFailedReads: when the catalog could not be read three times the capture is not healthy and says why, until it
// can.
func TestFailedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.tables.blind.Store(true)
		time.Sleep(2*r.capture.o.DriftInterval + time.Second) // the bubble's clock
		require.True(t, r.capture.Status().Healthy, "one or two times happen")
		time.Sleep(3 * r.capture.o.DriftInterval) // the bubble's clock
		status := r.capture.Status()
		require.False(t, status.Healthy)
		requireReason(t, status.LastError, "pg_stat_activity")
		r.tables.blind.Store(false)
		time.Sleep(2 * r.capture.o.DriftInterval) // the bubble's clock
		require.True(t, r.capture.Status().Healthy)
		require.NoError(t, stop())
	})
}
