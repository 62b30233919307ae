package capture

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestMembersAreWritten: what publishes a table is read between the publication's making and the snapshot, and stored.
func TestMembersAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		_, state := r.snapshot()
		require.Equal(t, cdc.PublishedBy{"member 1"}, state.Tables["public.a"].PublishedBy)
		require.Equal(t, cdc.PublishedBy{"member 2"}, state.Tables["public.b"].PublishedBy)
		r.tables.list = append(r.tables.list, newTable(3, "c"))
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state = r.snapshot()
		require.Equal(t, cdc.PublishedBy{"member 3"}, state.Tables["public.c"].PublishedBy)
	})
}

// TestLeftWhileRunning: a table that is outside the publication at a reading, or was outside between two readings, is
// quarantined.
func TestLeftWhileRunning(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *server)
		out    bool // it is quarantined
	}{
		{"left", func(s *server) { s.unpublish(1) }, true},
		{"left and came back", func(s *server) { s.unpublish(1); s.publish(1) }, true},
		{"another member was added", func(s *server) { s.publish(1) }, false},
		{"another member took over", func(s *server) { s.publish(1); s.unpublish(1) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, stop := followed(t)
				test.change(r.server)
				time.Sleep(2 * r.capture.o.DriftInterval) // the bubble's clock
				synctest.Wait()
				r.server.add(insert(1, "a"), insert(2, "b"))
				r.caughtUp(t)
				records, state := r.snapshot()
				require.NoError(t, stop())
				require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
				if !test.out {
					require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
					require.Len(t, changes(records), 2)
					return
				}
				require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
				requireReason(t, state.Tables["public.a"].Reason, cdc.ResnapshotCommand("public.a"))
				require.Len(t, changes(records), 1)
			})
		})
	}
}

// TestPublicationDroppedWhileRunning: from Postgres 18 on the server says nothing of it, so every table has left.
func TestPublicationDroppedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.server.mu.Lock()
		r.server.published = nil
		r.server.mu.Unlock()
		time.Sleep(2 * r.capture.o.DriftInterval) // the bubble's clock
		r.caughtUp(t)
		_, state := r.snapshot()
		require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
		require.Equal(t, cdc.TableQuarantined, state.Tables["public.b"].Phase)
		require.NoError(t, stop())
	})
}

// TestLeftWhileDown: what happened to the members between two captures, and the generation the table then has.
func TestLeftWhileDown(t *testing.T) {
	for _, test := range []struct {
		name       string
		change     func(r *rig)
		generation uint32
		members    cdc.PublishedBy
	}{
		{"nothing", func(*rig) {}, 1, cdc.PublishedBy{"member 1"}},
		{"left", func(r *rig) { r.server.unpublish(1) }, 2, cdc.PublishedBy{"member 3"}},
		{"left and came back", func(r *rig) { r.server.unpublish(1); r.server.publish(1) }, 2, cdc.PublishedBy{"member 3"}},
		{"another member was added", func(r *rig) { r.server.publish(1) }, 1, cdc.PublishedBy{"member 1", "member 3"}},
		{"a state of an earlier build", func(r *rig) {
			old := r.state.Tables["public.a"]
			old.PublishedBy = nil
			r.state.Tables["public.a"] = old
		}, 1, cdc.PublishedBy{"member 1"}},
		{"left under a state of an earlier build", func(r *rig) {
			old := r.state.Tables["public.a"]
			old.PublishedBy = nil
			r.state.Tables["public.a"] = old
			r.server.unpublish(1)
		}, 2, cdc.PublishedBy{"member 3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.change(r)
				for range 2 { // it stays so
					r.server.idle(1)
					stop := r.start(t)
					r.streaming(t)
					time.Sleep(2 * r.capture.o.DriftInterval) // the bubble's clock
					synctest.Wait()
					require.NoError(t, stop())
					_, state := r.snapshot()
					require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
					require.Equal(t, test.generation, state.Tables["public.a"].Generation)
					require.Equal(t, test.members, state.Tables["public.a"].PublishedBy)
					require.EqualValues(t, 1, state.Tables["public.b"].Generation)
				}
			})
		})
	}
}

// TestMembersMoveOn: a member that was added later carries the table on when the first one goes, if a start came
// between.
func TestMembersMoveOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		for _, change := range []func(uint32){r.server.publish, r.server.unpublish} {
			change(1)
			r.server.idle(1)
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
		}
		_, state := r.snapshot()
		require.EqualValues(t, 1, state.Tables["public.a"].Generation)
		require.Equal(t, cdc.PublishedBy{"member 3"}, state.Tables["public.a"].PublishedBy)
	})
}

// TestLeftBeforeTheSnapshot: without a member the copy does not begin, since no later reading could say what it missed.
func TestLeftBeforeTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.ensured = func() { // once
			delete(r.server.published, 1)
			r.server.ensured = nil
		}
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state := r.snapshot()
		require.EqualValues(t, 2, state.Tables["public.a"].Generation)
		require.Equal(t, cdc.PublishedBy{"member 3"}, state.Tables["public.a"].PublishedBy)
	})
}
