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

// TestWhatAStartWaitsFor is shown, and forgotten once it goes on; and so is how far a start has come.
func TestWhatAStartWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1], r.server.rows[2], r.options.SnapshotWorkers = []string{"x"}, []string{"y"}, 1
		shown, release := make(chan Status), make(chan struct{})
		r.server.copying = func(*cdc.Table) error {
			r.server.waits(cdc.Failed("process 7").Fix("end it"))
			shown <- r.capture.Status()
			<-release
			return nil
		}
		stop := r.start(t)
		status := <-shown
		require.Equal(t, "process 7. Try: end it", status.Waiting)
		require.Equal(t, "copying: 0 of 2 tables", status.Progress)
		r.server.waits(nil)
		release <- struct{}{}
		<-shown // of the other table
		r.server.waits(nil)
		release <- struct{}{}
		r.streaming(t)
		status = r.capture.Status()
		require.Empty(t, status.Waiting)
		require.Empty(t, status.Progress)
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
		require.Equal(t, []cdc.Remedy{{Command: "see in pg_stat_activity what keeps it"}}, cdc.ParseProblem(status.LastError).Try)
		r.tables.blind.Store(false)
		time.Sleep(2 * r.capture.o.DriftInterval) // the bubble's clock
		require.True(t, r.capture.Status().Healthy)
		require.NoError(t, stop())
	})
}
