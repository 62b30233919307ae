package capture

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// followed starts a capture over what ran and waits until it has caught up.
func followed(t *testing.T) (*rig, func() error) {
	t.Helper()
	r := ran(t)
	r.server.idle(1)
	stop := r.start(t)
	r.streaming(t)
	return r, stop
}

func TestOrdinals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		at := r.server.add(insert(9, "x"), update(9, "x"), update(1, "u"), rekey(1, "old", "new"), truncate(9, 1, 2), remove(2, "gone")).commit
		r.caughtUp(t)
		require.NoError(t, stop())
		records, state := r.snapshot()
		a, b := "p.public.a", "p.public.b"
		require.Equal(t, []record{
			{a, 1, "u", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 5}, 1, "u"},
			{a, 1, "d", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 6}, 1, "old"},
			{a, 1, "c", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 7}, 1, "new"},
			{a, 0, "t", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 9}, 1, ""}, {a, 1, "t", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 9}, 1, ""},
			{b, 0, "t", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 10}, 1, ""}, {b, 1, "t", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 10}, 1, ""},
			{b, 0, "d", cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 11}, 1, "gone"},
		}, changes(records))
		require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 11}, state.Point.Position)
		require.False(t, r.server.early)
	})
}

func TestIdleAdvanceAndHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.server.idle(500)
		time.Sleep(time.Second) // the bubble's clock
		synctest.Wait()
		points, earlier := r.history()
		flushed, confirmed := r.server.reach()
		require.Equal(t, flushed, points[len(points)-1].Reported)
		require.Equal(t, flushed, confirmed)
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		points, times := r.history()
		for i := len(earlier); i < len(times); i++ {
			require.LessOrEqual(t, times[i].Sub(times[i-1]), 5*time.Second)
		}
		require.Less(t, len(times)-len(earlier), 20, "an idle source costs little")
		require.WithinDuration(t, time.Now(), time.UnixMicro(points[len(points)-1].Time), 5*time.Second, "an idle copy is not late")
		require.NoError(t, stop())
	})
}

// TestAClockThatWasAhead: neither a commit from the future (the clock was set back since, or was another server's) nor
// a stored one makes times stand still until the clock comes to it.
func TestAClockThatWasAhead(t *testing.T) {
	const year = 365 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.server.ahead = year
		r.state.Point.Time = time.Now().Add(2 * year).UnixMicro()
		stop := r.start(t)
		r.streaming(t)
		r.server.add(insert(1, "x"))
		r.caughtUp(t)
		time.Sleep(10 * time.Second) // the bubble's clock
		synctest.Wait()
		_, state := r.snapshot()
		require.WithinDuration(t, time.Now(), time.UnixMicro(state.Point.Time), 5*time.Second)
		require.WithinDuration(t, time.Now(), time.UnixMicro(r.capture.Status().SeenTime), 5*time.Second)
		require.NoError(t, stop())
	})
	require.EqualValues(t, 7, later(5, 7, 10))
	require.EqualValues(t, 7, later(7, 5, 10), "commits need not be in the order of their times")
	require.EqualValues(t, 10, later(12, 5, 10))
	require.EqualValues(t, 10, later(5, 12, 10))
	require.EqualValues(t, 12, later(12, 5, 0))
}

// TestStalledTransaction: keepalives inside it advance nothing, commits go on, and Kafka's transaction does not stay
// open.
func TestStalledTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		stream, _ := r.server.newest()
		stream.stall(3) // begin, two rows
		before, _ := r.server.reach()
		at := r.server.add(insert(9, "x"), insert(1, "one"), insert(1, "two")).commit
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		records, state := r.snapshot()
		require.Equal(t, cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 3}, Partial: true, Reported: before, Time: state.Point.Time}, state.Point)
		require.Len(t, changes(records), 1)
		_, times := r.history()
		require.Less(t, time.Since(times[len(times)-1]), 6*time.Second, "the heartbeat goes on")
		_, confirmed := r.server.reach()
		require.Equal(t, before, confirmed)
		require.NoError(t, stop())
		stop = r.start(t) // the rest comes in another life
		r.caughtUp(t)
		require.NoError(t, stop())
		records, _ = r.snapshot()
		require.Len(t, changes(records), 2)
		require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: 3}, changes(records)[1].Position)
	})
}

func TestLostRestOfATransactionStops(t *testing.T) {
	for name, later := range map[string]func(r *rig){
		"another transaction": func(r *rig) { r.server.add(insert(1, "later")) },
		"a keepalive":         func(r *rig) { r.server.idle(100) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.state.Point.Partial, r.state.Point.Position = true, cdc.Position{Epoch: 1, CommitLSN: 1001, Ordinal: 2}
				later(r)
				require.ErrorIs(t, r.fails(t), cdc.ErrGap)
			})
		})
	}
}

func TestQuarantineWhileFollowing(t *testing.T) {
	for _, test := range []struct {
		name, fix string
		prepare   func(r *rig)
		first     cdc.Event
	}{
		{"a value that cannot be carried", "", func(*rig) {}, insert(1, "!")},
		{"a record that is too large", "kafka.max_message_bytes", func(r *rig) { r.options.MaxRecord = 100 }, insert(1, strings.Repeat("x", 200))},
		{
			"a changed relation", "copy it", func(r *rig) { r.tables.mismatch[1] = cdc.Failed("it has 2 columns").Fix("copy it") },
			cdc.Event{Kind: cdc.EventRelation, Described: &cdc.WireRelation{OID: 1, Schema: "public", Name: "a"}},
		},
		{
			"another table in its name", "dirtbike resnapshot public.a", func(*rig) {},
			cdc.Event{Kind: cdc.EventRelation, Described: &cdc.WireRelation{OID: 55, Schema: "public", Name: "a"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.prepare(r)
				r.server.idle(1)
				stop := r.start(t)
				r.streaming(t)
				at := r.server.add(insert(2, "1"), test.first, insert(1, "out"), update(1, "out"), insert(2, "2")).commit
				r.caughtUp(t)
				records, state := r.snapshot()
				require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
				require.NotEmpty(t, state.Tables["public.a"].Reason)
				requireReason(t, state.Tables["public.a"].Reason, test.fix)
				rows := uint32(5)
				if test.first.Kind == cdc.EventInsert {
					rows++
				}
				require.Len(t, changes(records), 2)
				require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: at, Ordinal: rows}, changes(records)[1].Position, "ordinals count what is not written, too")
				require.True(t, r.capture.Status().Healthy)
				require.Equal(t, cdc.TableQuarantined, r.capture.Status().Tables[0].Phase)
				require.NoError(t, stop())
			})
		})
	}
}

// TestARowThatIsTooLarge: a larger limit, and a copy without the large column, each put the table right.
func TestARowThatIsTooLarge(t *testing.T) {
	everyWayWorks(t, func(t *testing.T) (*rig, error) {
		r := ran(t)
		large := strings.Repeat("x", 200)
		r.options.MaxRecord, r.server.rows[1] = 100, []string{large}
		r.server.add(insert(1, large))
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		stored := r.state.Tables["public.a"]
		require.Equal(t, cdc.TableQuarantined, stored.Phase)
		ways := strings.Split(cdc.ParseProblem(stored.Reason).Try[0].Command, ", or ")
		require.Len(t, ways, 2)
		return r, cdc.Failed("%s", stored.Reason).Fix("%s", ways[0]).Fix("%s", ways[1])
	})
}

func TestQuarantineInTheCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1], r.server.rows[2] = []string{"x", "!", "y"}, []string{"z"}
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state := r.snapshot()
		require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
		require.Empty(t, state.Tables["public.a"].Cut)
		require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
		require.Equal(t, cdc.PhaseStreaming, state.Source.Phase)
	})
}

// TestAnUnreachableServerIsNoTablesFault: the session is retried, and the error is shown meanwhile.
func TestAnUnreachableServerIsNoTablesFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.server.add(insert(1, "before"), update(1, "@"))
		time.Sleep(10 * time.Second) // the bubble's clock
		synctest.Wait()
		status := r.capture.Status()
		require.Contains(t, status.LastError, cdc.ErrUnreachable.Error())
		require.Equal(t, cdc.TableStreaming, status.Tables[0].Phase)
		require.NoError(t, stop())
		records, _ := r.snapshot()
		require.Empty(t, changes(records))
	})
}

func TestABrokenStreamIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		stream, _ := r.server.newest()
		stream.fail(errLost)
		r.server.add(insert(1, "after"))
		r.caughtUp(t)
		require.True(t, r.capture.Status().Healthy)
		require.Empty(t, r.capture.Status().LastError)
		require.NoError(t, stop())
		records, _ := r.snapshot()
		require.Len(t, changes(records), 1)
	})
}

func TestAFencedCaptureStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		younger := r.sink()
		_, err := younger.Recover(t.Context())
		require.NoError(t, err)
		time.Sleep(5 * time.Second) // the bubble's clock; the heartbeat notices
		synctest.Wait()
		require.Contains(t, r.capture.Status().LastError, cdc.ErrFenced.Error())
		require.False(t, r.capture.Status().Healthy)
		require.ErrorIs(t, stop(), cdc.ErrFenced)
	})
}

// TestASinkThatKeepsChunks: memory is bounded and nothing waits for ever, even if chunks come back only with a commit.
func TestASinkThatKeepsChunks(t *testing.T) {
	for _, chunks := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			r.late, r.options.Chunks, r.options.SnapshotWorkers = true, chunks, 4
			for i := range 300 {
				for oid := range uint32(2) {
					r.server.rows[oid+1] = append(r.server.rows[oid+1], body(i))
				}
			}
			stop := r.start(t)
			r.streaming(t)
			var events []cdc.Event
			for i := range 1000 {
				events = append(events, insert(1, body(i)))
			}
			r.server.add(events...)
			r.caughtUp(t)
			require.NoError(t, stop())
			records, _ := r.snapshot()
			require.Len(t, changes(records), 1000)
			require.Len(t, ofOps(records, "r"), 600)
			require.LessOrEqual(t, r.held, chunks)
			partial := 0
			for _, p := range r.points {
				if p.Partial {
					partial++
				}
			}
			require.NotZero(t, partial)
		})
	}
}

// TestABusySinkStillCommits: under a load that never lets the sink rest, batches are closed in time.
func TestABusySinkStillCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.options.Chunks = 8
		r.slow = 300 * time.Millisecond
		r.server.idle(1)
		stop := r.start(t)
		r.streaming(t)
		_, earlier := r.history()
		for range 200 {
			var events []cdc.Event
			for i := range 20 {
				events = append(events, insert(1, body(i)))
			}
			r.server.add(events...)
		}
		r.caughtUp(t)
		points, times := r.history()
		for i := len(earlier) + 1; i < len(times); i++ {
			require.Less(t, times[i].Sub(times[i-1]), 5*time.Second)
			require.False(t, points[i].Partial)
		}
		require.NoError(t, stop())
	})
}

func TestLargeTransactionIsSplitBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.options.MaxTransaction = 2000
		r.server.idle(1)
		stop := r.start(t)
		r.streaming(t)
		earlier, _ := r.history()
		from := len(earlier)
		var events []cdc.Event
		for i := range 500 {
			events = append(events, insert(1, body(i)))
		}
		before := earlier[from-1].Reported
		r.server.add(events...)
		r.caughtUp(t)
		require.NoError(t, stop())
		parts := r.points[from : len(r.points)-1]
		require.NotEmpty(t, parts)
		for _, p := range parts {
			require.True(t, p.Partial)
			require.Equal(t, before, p.Reported, "progress moves only after the last part")
		}
		require.Less(t, len(parts), 12, "by size, not by row; how many chunks a part has depends on how fast the sink was")
	})
}
