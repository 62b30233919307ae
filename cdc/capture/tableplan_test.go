package capture

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
)

var (
	errKeyless  = cdc.Failed("table public.c has no key").Fix("give it a key")
	errGlob     = cdc.Failed("public.d matches no table").Fix("correct the name")
	errRegistry = cdc.Failed("the registry answered 409").Of(cdc.ErrSchema).At("subject p.public.a-value").Fix("set it to NONE")
)

// refused is what the catalog says of a table that cannot be captured.
func refused(oid uint32, name string, why error) *cdc.Table {
	return &cdc.Table{OID: oid, Schema: "public", Name: name, Refused: why}
}

// TestAFirstStartRefuses: with a person there, everything must fit.
func TestAFirstStartRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(f *fakeTables)
		fix    string
	}{
		{"a table", func(f *fakeTables) { f.list = append(f.list, refused(3, "c", errKeyless)) }, "give it a key"},
		{"a doubt", func(f *fakeTables) { f.list[0].BlocksStart, f.list[1].BlocksStart = errKeyless, errKeyless }, "give it a key"},
		{"a name", func(f *fakeTables) { f.unmatched = []error{errGlob} }, "correct the name"},
		{"all schemas", func(f *fakeTables) { f.unknown = map[uint32]error{1: errRegistry, 2: errRegistry} }, "set it to NONE"},
		{"nothing to do", func(f *fakeTables) { f.list = nil }, "tables: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			everyWayWorks(t, func(t *testing.T) (*rig, error) {
				r := newRig()
				test.change(r.tables)
				err := r.fails(t)
				require.ErrorIs(t, err, cdc.ErrRefused)
				requireFix(t, err, test.fix)
				require.Empty(t, r.points, "nothing is committed")
				require.Nil(t, r.server.published)
				return r, err
			})
		})
	}
}

// TestLaterOnlyTheTableStops: what cannot be captured any more, or not at all, costs no other table anything, neither
// when the session begins again nor in another process.
func TestLaterOnlyTheTableStops(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *rig)
		table  string
		phase  cdc.TablePhase // in Status
		fix    string
		stored cdc.TablePhase
		gone   int // changes of the table that are not written any more
	}{
		{"a captured one", func(r *rig) { r.tables.list[0] = refused(1, "a", errKeyless) }, "public.a", cdc.TableQuarantined, "give it a key; then dirtbike resnapshot", cdc.TableQuarantined, 1},
		{"a new one", func(r *rig) { r.tables.list = append(r.tables.list, refused(3, "c", errKeyless)) }, "public.c", tableSkipped, "give it a key", "", 0},
		{"a new one in doubt", func(r *rig) {
			c := newTable(3, "c")
			c.BlocksStart, r.tables.list[0].BlocksStart = errKeyless, errKeyless
			r.tables.list = append(r.tables.list, c)
		}, "public.c", tableSkipped, "give it a key", "", 0},
		{"a captured one's schema", func(r *rig) { r.tables.unknown = map[uint32]error{1: errRegistry} }, "public.a", cdc.TableQuarantined, "set it to NONE; then dirtbike resnapshot", cdc.TableQuarantined, 1},
		{"a new one's schema", func(r *rig) {
			r.tables.list = append(r.tables.list, newTable(3, "c"))
			r.tables.unknown = map[uint32]error{3: errRegistry}
		}, "public.c", cdc.TableQuarantined, "set it to NONE; then dirtbike resnapshot", cdc.TableQuarantined, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, stop := followed(t)
				written := 0
				check := func() {
					r.server.add(insert(1, "a"), insert(2, "b"), insert(3, "c"))
					r.caughtUp(t)
					status := find(t, r.capture.Status().Tables, test.table)
					require.Equal(t, test.phase, status.Phase)
					requireReason(t, status.Reason, test.fix)
					records, state := r.snapshot()
					require.Equal(t, test.stored, state.Tables[test.table].Phase)
					require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
					written += 2 - test.gone
					require.Len(t, changes(records), written)
					require.Empty(t, r.server.published[3], "an UPDATE of a published table without a key would fail")
				}
				test.change(r)
				stream, _ := r.server.newest()
				stream.fail(errLost)
				r.again(t, 3)
				check()
				require.NoError(t, stop())
				r.server.idle(1)
				stop = r.start(t)
				r.again(t, 4)
				check()
				require.NoError(t, stop())
			})
		})
	}
}

// TestQuarantinedAndUnfit: the reason of a table that could not be copied again says what has to be fixed before.
func TestQuarantinedAndUnfit(t *testing.T) {
	a := newTable(1, "a")
	stored := copyToFix(a, "its columns have changed").Error()
	require.Equal(t, cdc.ParseProblem(stored), cdc.Explain(stillUnfit(a, stored)))
	unfit := refused(1, "a", errKeyless)
	now := stillUnfit(unfit, stored)
	require.Contains(t, cdc.Explain(now).What, cdc.ParseProblem(stored).What)
	require.Contains(t, cdc.Explain(now).What, errKeyless.What)
	requireFix(t, now, "give it a key; then dirtbike resnapshot public.a")
	require.Equal(t, cdc.Explain(now), cdc.Explain(stillUnfit(unfit, now.Error())), "it does not grow with every start")
}

// TestATableOfAnotherOwner: what we may not publish is skipped, or quarantined if it was captured; the owner can fix
// it.
func TestATableOfAnotherOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.tables.list = append(r.tables.list, newTable(3, "c"), newTable(4, "d"))
		r.server.mu.Lock()
		r.server.owned = 3
		r.server.mu.Unlock()
		stream, _ := r.server.newest()
		stream.fail(errLost)
		r.again(t, 3)
		require.NoError(t, stop())
		status := find(t, r.capture.Status().Tables, "public.c")
		require.Equal(t, cdc.TablePhase(tableSkipped), status.Phase)
		requireReason(t, status.Reason, "as the tables' owner: ")
		_, state := r.snapshot()
		require.NotContains(t, state.Tables, "public.c")
		require.Equal(t, cdc.TableStreaming, state.Tables["public.d"].Phase, "the other new one is published")

		r.server.publish(3)
		r.server.owned = 1
		delete(r.server.published, 1)
		r.server.idle(1)
		stop = r.start(t)
		r.again(t, 4)
		require.NoError(t, stop())
		_, state = r.snapshot()
		require.Equal(t, cdc.TableStreaming, state.Tables["public.c"].Phase)
		require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
		requireReason(t, state.Tables["public.a"].Reason, "as the tables' owner: ADD TABLE; then dirtbike resnapshot")
		require.Equal(t, cdc.PhaseStreaming, state.Source.Phase)
	})
}

// TestATableThatWeMayNotRead: also at a first start it waits alone, and is copied once the right is there.
func TestATableThatWeMayNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1], r.server.rows[2], r.server.rows[3] = []string{"x"}, []string{"y"}, []string{"z"}
		forbid := func(name string) {
			r.server.copying = func(t *cdc.Table) error {
				if t.Name == name {
					return &cdc.TableTrouble{Err: cdc.Failed("COPY: permission denied").Fix("GRANT SELECT")}
				}
				return nil
			}
		}
		forbid("b")
		stop := r.start(t)
		r.streaming(t)
		_, state := r.snapshot()
		require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
		require.True(t, state.Tables["public.b"].Waits)
		requireReason(t, state.Tables["public.b"].Reason, "GRANT SELECT")
		forbid("")
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.b"].Phase == cdc.TableStreaming })
		require.NoError(t, stop())
		forbid("c")
		r.tables.list = append(r.tables.list, newTable(3, "c"))
		r.server.idle(1)
		stop = r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state = r.snapshot()
		require.Equal(t, cdc.TableQuarantined, state.Tables["public.c"].Phase)
		requireReason(t, state.Tables["public.c"].Reason, "GRANT SELECT")
		require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
	})
}

// TestATableThatIsFixedIsCopied: the ways back of a table that was skipped, and of one whose schema was refused.
func TestATableThatIsFixedIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		run := func(list ...*cdc.Table) cdc.State {
			r.tables.list = list
			r.server.idle(1)
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
			_, state := r.snapshot()
			return state
		}
		a, b, c := newTable(1, "a"), newTable(2, "b"), newTable(3, "c")
		run(a, b, refused(3, "c", errKeyless))
		require.Equal(t, cdc.TableStreaming, run(a, b, c).Tables["public.c"].Phase, "it is captured from the next start on")

		r.tables.unknown = map[uint32]error{1: errRegistry}
		require.Equal(t, cdc.TableQuarantined, run(a, b, c).Tables["public.a"].Phase)
		r.tables.unknown = nil
		require.Equal(t, cdc.TableQuarantined, run(a, b, c).Tables["public.a"].Phase, "changes were lost meanwhile")
		require.Equal(t, cdc.TableExcluded, run(b, c).Tables["public.a"].Phase)
		require.Equal(t, cdc.TableExcluded, run(refused(1, "a", errKeyless), b, c).Tables["public.a"].Phase, "what is not written yet is skipped")
		state := run(a, b, c)
		require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
		require.EqualValues(t, 2, state.Tables["public.a"].Generation)
	})
}

// TestNamesThatMatchNothing: each is said once in a process, and nothing stops.
func TestNamesThatMatchNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		core, logs := observer.New(zap.WarnLevel)
		r.options.Log = zap.New(core)
		r.tables.unmatched = []error{errGlob}
		r.tables.list = append(r.tables.list, refused(3, "c", errKeyless))
		r.server.idle(1)
		stop := r.start(t)
		r.again(t, 2)
		stream, _ := r.server.newest()
		stream.fail(errLost)
		r.again(t, 3)
		require.NoError(t, stop())
		require.Len(t, logs.FilterField(zap.Error(errGlob)).All(), 1)
		require.Len(t, logs.FilterField(zap.String("table", "public.c")).All(), 1)
	})
}

// TestASlipOfThePen: a name that matches nothing is refused at the start of a process if a captured table lost its name
// with it; while it runs, and for a table that is gone, it is not.
func TestASlipOfThePen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.tables.list, r.tables.unselected, r.tables.unmatched = r.tables.list[1:], []uint32{1, 9}, []error{errGlob}
		stream, _ := r.server.newest()
		stream.fail(errLost)
		r.again(t, 3)
		require.NoError(t, stop())
		require.Equal(t, cdc.TableExcluded, r.state.Tables["public.a"].Phase)
	})
	slip := func(t *testing.T) (*rig, error) {
		r := ran(t)
		r.tables.list, r.tables.unselected, r.tables.unmatched = r.tables.list[1:], []uint32{1, 9}, []error{errGlob}
		before := len(r.points)
		err := r.fails(t)
		require.ErrorIs(t, err, cdc.ErrRefused)
		requireFix(t, err, "correct the name, or if public.a is to be left out")
		require.Len(t, r.points, before, "nothing is committed")
		return r, err
	}
	everyWayWorks(t, slip)
	synctest.Test(t, func(t *testing.T) {
		r, _ := slip(t)
		r.tables.unselected = []uint32{9} // it is gone, and its name is stale
		stop := r.start(t)
		r.again(t, 2)
		require.NoError(t, stop())
	})
}

// TestNoTableAtAll: a config that names none is refused; tables that were dropped while capture runs are not.
func TestNoTableAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.tables.list = nil
		stream, _ := r.server.newest()
		stream.fail(errLost)
		r.again(t, 3)
		require.NoError(t, stop())
		require.ErrorIs(t, r.fails(t), cdc.ErrRefused)
	})
}

// TestNamesakes: of two tables whose full names are equal, by a dot, the captured one goes on.
func TestNamesakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		dotted := newTable(1, "a.b")
		r.tables.list = []*cdc.Table{dotted}
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		other := newTable(3, "b")
		other.Schema, other.BlocksStart, dotted.BlocksStart = "public.a", errKeyless, errKeyless
		for _, list := range [][]*cdc.Table{{dotted, other}, {other, dotted}} {
			r.tables.list = list
			r.server.idle(1)
			stop = r.start(t)
			r.streaming(t)
			tables := r.capture.Status().Tables
			require.NoError(t, stop())
			require.Len(t, tables, 1)
			require.Equal(t, cdc.TableStreaming, tables[0].Phase)
			_, state := r.snapshot()
			require.Equal(t, "public", state.Tables["public.a.b"].Schema)
		}
	})
}

// TestAnUnfinishedCopyTakesTheTableAsItIs: its columns' policies change with its columns, under the same config.
func TestAnUnfinishedCopyTakesTheTableAsItIs(t *testing.T) {
	for name, change := range map[string]func(t *cdc.Table){
		"columns": func(t *cdc.Table) { t.Shape, t.PolicyPrint = "x", "x" },
		"key":     func(t *cdc.Table) { t.KeyPrint = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				stored := r.state.Tables["public.a"]
				stored.Phase = cdc.TableCopying
				r.state.Tables["public.a"] = stored
				change(r.tables.list[0])
				r.server.idle(1)
				stop := r.start(t)
				r.streaming(t)
				require.NoError(t, stop())
				_, state := r.snapshot()
				require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
				require.EqualValues(t, 2, state.Tables["public.a"].Generation)
			})
		})
	}
}

// TestAGenerationKeepsItsCleanup: another replica identity makes other records only from the next generation on.
func TestAGenerationKeepsItsCleanup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		again := func(compacted bool) (topic *cdc.Topic, stored cdc.TableState) {
			r.tables.list[0].Topic = &cdc.Topic{Name: "p.public.a", Partitions: 2, Compacted: compacted}
			r.server.idle(1)
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
			return r.tables.list[0].Topic, r.state.Tables["public.a"]
		}
		topic, stored := again(true)
		require.False(t, topic.Compacted)
		require.Equal(t, cdc.CleanupDelete, stored.Cleanup)
		require.EqualValues(t, 1, stored.Generation)

		stored.Cleanup = "" // an older build's
		r.state.Tables["public.a"] = stored
		topic, stored = again(true)
		require.True(t, topic.Compacted)
		require.Equal(t, cdc.CleanupCompact, stored.Cleanup)
		topic, _ = again(false)
		require.True(t, topic.Compacted)

		stored.Phase = cdc.TableCopying // the next generation
		r.state.Tables["public.a"] = stored
		topic, stored = again(false)
		require.False(t, topic.Compacted)
		require.Equal(t, cdc.CleanupDelete, stored.Cleanup)
		require.EqualValues(t, 2, stored.Generation)
	})
}

func find(t *testing.T, tables []TableStatus, name string) TableStatus {
	t.Helper()
	for _, s := range tables {
		if s.Table == name {
			return s
		}
	}
	t.Fatalf("no status of %s", name)
	return TableStatus{}
}

// TestSeveralProblems of a start are one line in a log, and one line each for people.
func TestSeveralProblems(t *testing.T) {
	err := fmt.Errorf("capture: %w", unfit([]error{errGlob, errGlob}, []*cdc.Table{{Refused: errKeyless}}))
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.ErrorIs(t, err, errGlob)
	require.NotContains(t, err.Error(), "\n")
	require.Equal(t, []string{"capture: refused:", errGlob.Error(), errKeyless.Error()}, strings.Split(cdc.Lines(err), "\n"), "each once")
	require.ErrorIs(t, unfit([]error{errGlob}, nil), cdc.ErrRefused)
	require.NoError(t, unfit(nil, []*cdc.Table{{}}))
}

// TestNobodyKeepsAllFromBeingCopiedAgain: what others have put under a pattern is left out and listed, a captured table
// that has lost its key is quarantined alone, and only what the config names itself refuses; so it is when the state is
// lost, too, and for the start that ends a call which was cut short.
func TestNobodyKeepsAllFromBeingCopiedAgain(t *testing.T) {
	loot := func(r *rig) { r.tables.list = append(r.tables.list, refused(3, "loot", errKeyless)) }
	clash := func(r *rig) {
		c := newTable(3, "loot")
		c.BlocksStart, r.tables.list[0].BlocksStart = errKeyless, errKeyless
		r.tables.list = append(r.tables.list, c)
	}
	for _, test := range []struct {
		name    string
		change  func(r *rig)
		kind    error
		left    string
		a, loot cdc.TablePhase
	}{
		{"a new table", loot, nil, "public.loot: ", cdc.TableStreaming, ""},
		{"a new table that takes a name", clash, nil, "public.loot: ", cdc.TableStreaming, ""},
		{"a captured table", func(r *rig) { r.tables.list[0] = refused(1, "a", errKeyless) }, ErrStillRefused, "", cdc.TableQuarantined, ""},
		{"a lost state", func(r *rig) { loot(r); r.state = cdc.State{Tables: map[string]cdc.TableState{}} }, nil, "public.loot: ", cdc.TableStreaming, ""},
		{"a named table", func(r *rig) { loot(r); r.tables.list[2].Exactly = true }, cdc.ErrRefused, "", cdc.TableStreaming, ""},
		{"nothing else", func(r *rig) {
			r.tables.list, r.state = []*cdc.Table{refused(3, "loot", errKeyless)}, cdc.State{Tables: map[string]cdc.TableState{}}
		}, cdc.ErrRefused, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.change(r)
				copier := r.second(func(*Options, *fakeTables) {})
				err := copier.ResnapshotAll(t.Context(), cdc.HighWater{Epoch: 1})
				require.ErrorIs(t, err, test.kind)
				if test.kind != nil {
					requireFix(t, err, "give it a key")
				}
				require.Equal(t, test.left, copier.LeftOut()[:min(len(test.left), len(copier.LeftOut()))])
				require.Equal(t, test.left == "", copier.LeftOut() == "")
				_, state := r.snapshot()
				require.Equal(t, test.a, state.Tables["public.a"].Phase)
				require.Equal(t, test.loot, state.Tables["public.loot"].Phase)
				if epoch := state.Source.Epoch; !errors.Is(test.kind, cdc.ErrRefused) {
					require.EqualValues(t, 2, epoch)
					require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
					stop := r.start(t)
					r.streaming(t)
					require.NoError(t, stop())
				}
			})
		})
	}
	t.Run("cut short", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := ran(t)
			r.server.slotErr = errLost
			require.Error(t, r.resnapshotAll(t, cdc.HighWater{}))
			r.server.slotErr = nil
			loot(r)
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
			require.EqualValues(t, 2, r.state.Source.Epoch)
		})
	})
}
