package capture

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

const topicA = "p.public.a"

// topicTrouble is what a sink says of the topic of table a.
func topicTrouble(shared bool) error {
	return &cdc.TableTrouble{Topic: topicA, Shared: shared, Err: cdc.Refused("it does not fit").Fix("make it fit")}
}

func (b *broker) setUnfit(errs map[string]error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unfit = errs
}

// othersGoOn requires that a waits with its way out while b is followed, and that a is copied by itself once the
// trouble is gone.
func (r *rig) othersGoOn(t *testing.T, repair func()) {
	t.Helper()
	r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Waits })
	r.streaming(t)
	r.server.add(insert(1, "lost"), insert(2, "kept"))
	r.caughtUp(t)
	records, state := r.snapshot()
	require.Equal(t, "p.public.b", changes(records)[len(changes(records))-1].Topic)
	require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
	require.Equal(t, cdc.TableQuarantined, find(t, r.capture.Status().Tables, "public.a").Phase)
	requireReason(t, state.Tables["public.a"].Reason, "make it fit")
	repair()
	r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableStreaming })
	_, after := r.snapshot()
	require.Greater(t, after.Tables["public.a"].Generation, state.Tables["public.a"].Generation)
	require.Empty(t, after.Tables["public.a"].Reason)
	require.Equal(t, state.Tables["public.b"].Generation, after.Tables["public.b"].Generation)
}

// TestATopicThatDoesNotFit: whatever is wrong with it, at a first start and at a later one, its table waits alone.
func TestATopicThatDoesNotFit(t *testing.T) {
	for name, trouble := range map[string]error{"its settings": topicTrouble(false), "its rights": topicTrouble(true)} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig()
					if !first {
						r = ran(t)
					}
					r.setUnfit(map[string]error{topicA: trouble})
					stop := r.start(t)
					r.othersGoOn(t, func() { r.setUnfit(nil) })
					require.NoError(t, stop())
				})
			})
		}
	}
}

// TestATopicThatRefusesRecords: what is the topic's for certain makes the table wait at once; what another may share,
// or what passes, only when it comes again.
func TestATopicThatRefusesRecords(t *testing.T) {
	for _, test := range []struct {
		name    string
		trouble error
		times   int // it comes, after which it is over
		waits   bool
	}{
		{"for certain", topicTrouble(false), 1, true},
		{"maybe", topicTrouble(true), blameTimes - 1, false},
		{"maybe, again and again", topicTrouble(true), blameTimes, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, stop := followed(t)
				left := test.times
				r.mu.Lock()
				r.fail = func(point string) error {
					if point != "write" || left == 0 {
						return nil
					}
					left--
					return test.trouble
				}
				r.mu.Unlock()
				r.server.add(insert(1, "x"))
				if test.waits {
					r.othersGoOn(t, func() {})
				} else {
					r.caughtUp(t)
					records, state := r.snapshot()
					require.Len(t, changes(records), 1)
					require.False(t, state.Tables["public.a"].Waits)
				}
				require.NoError(t, stop())
			})
		})
	}
}

// TestATableThatCannotBeReadNow: a copy that fails for its table's own reasons waits; one that a server interrupts is
// begun again with the session.
func TestATableThatCannotBeReadNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1], r.server.rows[2] = []string{"x"}, []string{"y"}
		r.server.copying = func(t *cdc.Table) error {
			if t.OID == 1 {
				return &cdc.TableTrouble{Err: cdc.Failed("a block cannot be read").Fix("make it fit")}
			}
			return nil
		}
		stop := r.start(t)
		r.othersGoOn(t, func() {
			r.server.mu.Lock()
			defer r.server.mu.Unlock()
			r.server.copying = nil
		})
		require.NoError(t, stop())
	})
}

// TestTopicsAreWatched: a topic that ceases to fit while the log is followed, whatever changes its table has, makes its
// table wait, and one that is gone is made again; the others stream meanwhile.
func TestTopicsAreWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		said := &cdc.TableTrouble{Topic: "p.public.a", Err: cdc.Refused("its clean-up policy is compact").Fix("kafka-configs.sh")}
		set := func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.unfit = map[string]error{}; err != nil {
				r.unfit["p.public.a"] = err
			}
		}
		set(said)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Waits })
		_, state := r.snapshot()
		requireReason(t, state.Tables["public.a"].Reason, "kafka-configs.sh")
		r.server.add(insert(2, "goes on"))
		r.caughtUp(t)
		records, state := r.snapshot()
		require.Len(t, changes(records), 1)
		require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
		set(nil)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableStreaming })
		r.mu.Lock()
		r.made = "p.public.b"
		r.mu.Unlock()
		r.until(t, func(s cdc.State, _ []record) bool {
			b := s.Tables["public.b"]
			return b.Phase == cdc.TableStreaming && b.Generation == 2
		})
		_, state = r.snapshot()
		require.EqualValues(t, 2, state.Tables["public.a"].Generation)
		require.NoError(t, stop())
	})
}

// TestACutThatCannotBeRead is one table's, too.
func TestACutThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		a := r.state.Tables["public.a"]
		a.Cut = "not hexadecimal"
		r.state.Tables["public.a"] = a
		stop := r.start(t)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Waits })
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableStreaming })
		require.NoError(t, stop())
		require.EqualValues(t, 2, r.state.Tables["public.a"].Generation)
		require.EqualValues(t, 1, r.state.Tables["public.b"].Generation)
	})
}

// TestWhatEndsCapture goes over the closed list: each kind ends a capture, at its start and while it streams, and
// nothing else does. The document has the same list.
func TestWhatEndsCapture(t *testing.T) {
	document, err := os.ReadFile("../EXACTNESS.md")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(document), "### What ends capture\n")
	_, list, _ = strings.Cut(list, "\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var whole []string
	for _, end := range ends {
		whole = append(whole, "- "+end.what)
		for _, point := range []string{"before", "write"} {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.fail = func(p string) error {
					if p == point {
						return end.kind
					}
					return nil
				}
				r.server.add(insert(1, "x"))
				require.ErrorIs(t, r.fails(t), end.kind)
			})
		}
	}
	require.Equal(t, strings.Join(whole, "\n"), list, "the document has no other")
	for _, err := range []error{
		errLost, cdc.ErrUnreachable, cdc.ErrSchema, errValue, errTryAgain, topicTrouble(false), topicTrouble(true), errors.New("a code that is not known"),
	} {
		require.False(t, endsCapture(err), "%v", err)
	}
}

// TestWhatAllTablesShareIsNoTables: a right that no table has ends a capture, and a server that fails for all is tried
// again with the session; nothing is quarantined.
func TestWhatAllTablesShareIsNoTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.setUnfit(map[string]error{topicA: topicTrouble(true), "p.public.b": topicTrouble(true)})
		before := len(r.points)
		require.ErrorIs(t, r.fails(t), cdc.ErrRefused)
		require.Len(t, r.points, before)
		busy := &cdc.TableTrouble{Shared: true, Err: cdc.Failed("the registry answers 500")}
		r.setUnfit(map[string]error{topicA: busy, "p.public.b": busy})
		stop := r.start(t)
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		require.Len(t, r.points, before)
		r.setUnfit(nil)
		r.server.add(insert(1, "x"))
		r.caughtUp(t)
		require.NoError(t, stop())
		require.EqualValues(t, 1, r.state.Tables["public.a"].Generation)
	})
}

// TestPausesGrow: a table that fails again and again is tried less and less often, but at least once an hour.
func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetries(time.Minute)
		require.True(t, r.due("t"), "nothing is known of it")
		var pauses []time.Duration
		for range 8 {
			r.failed("t")
			from := time.Now()
			for !r.due("t") {
				time.Sleep(time.Minute) // the bubble's clock
			}
			pauses = append(pauses, time.Since(from))
		}
		require.Equal(t, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour}, pauses)
		require.True(t, r.due("another"))
	})
}

// TestAMendedTopicIsSeen: a table that waits for up to an hour goes on within a look once its topic was put right, or
// was deleted; one that cannot be made again, or whose trouble is another, restarts nothing.
func TestAMendedTopicIsSeen(t *testing.T) {
	for name, mend := range map[string]func(r *rig){
		"put right": func(r *rig) { r.setUnfit(nil) },
		"deleted": func(r *rig) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.unfit, r.made = nil, topicA
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.setUnfit(map[string]error{topicA: topicTrouble(false)})
				stop := r.start(t)
				time.Sleep(5 * time.Hour) // the bubble's clock: the next try may be an hour away
				r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Waits })
				mended := time.Now()
				mend(r)
				r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableStreaming })
				require.Less(t, time.Since(mended), 2*time.Minute)
				require.NoError(t, stop())
			})
		})
	}
	t.Run("cannot be made", func(t *testing.T) {
		r := newRetries(time.Minute)
		denied := topicTrouble(true)
		r.ensured(topicA, denied)
		require.True(t, r.looked("public.a", topicA, cdc.ErrNoTopic), "it was there, maybe")
		for range 3 {
			r.ensured(topicA, denied)
			require.False(t, r.looked("public.a", topicA, cdc.ErrNoTopic))
		}
		r.ensured(topicA, nil)
		require.False(t, r.looked("public.a", topicA, nil), "its trouble is another")
		require.False(t, r.looked("public.a", topicA, denied))
		require.True(t, r.looked("public.a", topicA, nil))
		require.True(t, r.due("public.a"))
	})
}

// TestWhatATopicIsBlamedForHasAWayOut: what the brokers say has none of its own where only the topic's settings explain
// it.
func TestWhatATopicIsBlamedForHasAWayOut(t *testing.T) {
	r := newRetries(time.Minute)
	r.blame(&cdc.TableTrouble{Topic: "clinic.public.visits", Err: errors.New("INVALID_TIMESTAMP")})
	require.Len(t, cdc.Explain(r.blamed("clinic.public.visits")).Remedies(), 1)
	r.blame(&cdc.TableTrouble{Topic: "clinic.public.claims", Err: cdc.Failed("too large").Fix("raise it")})
	require.Equal(t, []cdc.Remedy{{Command: "raise it"}}, cdc.Explain(r.blamed("clinic.public.claims")).Remedies())
	require.NoError(t, r.blamed("clinic.public.nurses"))
}
