package capture

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// beats requires that, from the n-th commit on, no two were further apart, the first one after a transaction of Kafka's
// that was held open.
func (r *rig) beats(t *testing.T, n int, first time.Duration) {
	t.Helper()
	points, times := r.history()
	require.Greater(t, len(times), n+5)
	for i := n; i < len(times); i++ {
		most := 5 * time.Second
		if i == n {
			most = first
		}
		require.LessOrEqual(t, times[i].Sub(times[i-1]), most, "commit %d of %d", i, len(times))
		require.GreaterOrEqual(t, points[i].Position.Compare(points[i-1].Position), 0, "the point never goes back")
	}
	require.LessOrEqual(t, time.Since(times[len(times)-1]), 5*time.Second)
}

// TestAResentTransactionBeats: a transaction that is stored already writes nothing, however long it takes to come.
func TestAResentTransactionBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		at := r.server.add(insert(1, "one"), insert(1, "two"), insert(1, "three")).commit
		r.state.Point.Position = cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 3}
		r.server.stall = 3
		before, _ := r.history()
		stop := r.start(t)
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		r.beats(t, len(before)+2, 5*time.Second)
		require.NoError(t, stop())
		records, _ := r.snapshot()
		require.Empty(t, changes(records))
	})
}

// TestARereadBeats: while the follower waits for a re-read, the pipe commits what it has written with the point that
// belongs to it, and what was quarantined before. Killed then, nothing is lost and nothing comes twice.
func TestARereadBeats(t *testing.T) {
	for name, rows := range map[string]int{"nothing written": 1, "chunks written": 40} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.tables.list = append(r.tables.list, newTable(3, "c"))
				waiting := make(chan struct{})
				r.tables.reread = func() { close(waiting); time.Sleep(time.Minute) } // the bubble's clock
				r.server.idle(1)
				stop := r.start(t)
				r.streaming(t)
				events := []cdc.Event{insert(3, "!")}
				for i := range rows {
					events = append(events, insert(1, body(i)), insert(3, "out"))
				}
				events = append(events, update(2, "?"), insert(2, "after"))
				before, _ := r.history()
				at := r.server.add(events...).commit
				<-waiting
				time.Sleep(50 * time.Second) // the bubble's clock
				synctest.Wait()
				r.beats(t, len(before), 11*time.Second)
				require.NoError(t, stop()) // killed in the re-read
				records, state := r.snapshot()
				if rows > 1 {
					require.NotEmpty(t, changes(records))
					require.True(t, state.Point.Partial)
					require.Equal(t, cdc.TableQuarantined, state.Tables["public.c"].Phase, "its rows were passed over")
				}
				r.tables.reread = func() {}
				stop = r.start(t)
				r.caughtUp(t)
				require.NoError(t, stop())
				records, state = r.snapshot()
				require.Equal(t, cdc.TableQuarantined, state.Tables["public.c"].Phase)
				got := changes(records)
				require.Len(t, got, rows+2)
				for i, c := range got[:rows] {
					require.Equal(t, body(i), c.Body)
				}
				require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: uint32(2*rows + 3)}, got[rows].Position)
			})
		})
	}
}
