package capture

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// resnapshot runs the task in a process of its own.
func (r *rig) resnapshot(t *testing.T, tables ...string) error {
	t.Helper()
	return r.second(func(*Options, *fakeTables) {}).Resnapshot(t.Context(), tables)
}

func (r *rig) resnapshotAll(t *testing.T, past cdc.HighWater) error {
	t.Helper()
	return r.second(func(*Options, *fakeTables) {}).ResnapshotAll(t.Context(), past)
}

// since gives the journal's lines after a mark, without the readings of the publication.
func (r *rig) since(mark int) []string {
	return slices.DeleteFunc(r.journal.all()[mark:], func(line string) bool { return line == "members" })
}

func TestResnapshot(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *rig)
	}{
		{"as it is", func(*rig) {}},
		{"quarantined", func(r *rig) {
			s := r.state.Tables["public.a"]
			s.Phase, s.Reason = cdc.TableQuarantined, "because"
			r.state.Tables["public.a"] = s
		}},
		{"a new policy", func(r *rig) { r.tables.list[0].PolicyPrint = "x" }},
		{"a new key", func(r *rig) { r.tables.list[0].KeyPrint = "x" }},
		{"a new shape", func(r *rig) { r.tables.list[0].Shape = "x" }},
		{"made again", func(r *rig) { r.tables.list[0].OID = 11; r.server.rows[11] = []string{"x"}; r.server.publish(11) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.change(r)
				oid := r.tables.list[0].OID
				before := r.server.add(insert(oid, "before"), insert(2, "other"))
				require.NoError(t, r.resnapshot(t, "public.a"))
				after := r.server.add(insert(oid, "after"))
				stop := r.start(t)
				r.streaming(t)
				require.NoError(t, stop())
				records, state := r.snapshot()
				a := state.Tables["public.a"]
				require.Equal(t, cdc.TableStreaming, a.Phase)
				require.Empty(t, a.Reason)
				require.EqualValues(t, 2, a.Generation)
				require.EqualValues(t, 1, state.Tables["public.b"].Generation)
				require.Equal(t, []record{
					{"p.public.a", 0, "c", cdc.Position{Epoch: 1, CommitLSN: before.commit, Ordinal: 1}, 2, "before"},
					{"p.public.b", 1, "c", cdc.Position{Epoch: 1, CommitLSN: before.commit, Ordinal: 2}, 1, "other"},
					{"p.public.a", 1, "c", cdc.Position{Epoch: 1, CommitLSN: after.commit, Ordinal: 1}, 2, "after"},
				}, changes(records), "exactly once")
			})
		})
	}
}

// TestResnapshotOfARenamedTable: messages that were printed before may say its former name.
func TestResnapshotOfARenamedTable(t *testing.T) {
	for _, name := range []string{"public.a", "public.x"} {
		synctest.Test(t, func(t *testing.T) {
			r := ran(t)
			renamed := newTable(3, "x")
			renamed.OID = 1
			r.tables.list[0] = renamed
			require.NoError(t, r.resnapshot(t, name))
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
			require.Equal(t, cdc.TableStreaming, r.state.Tables["public.x"].Phase)
			require.Equal(t, cdc.TableExcluded, r.state.Tables["public.a"].Phase)
			require.NoError(t, r.resnapshot(t, name), "and later")
			require.EqualValues(t, 2, r.state.Tables["public.x"].Generation)
		})
	}
}

// TestTopicsAreMadeBetweenCommits, however long the broker takes.
func TestTopicsAreMadeBetweenCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.made, r.slowTopic = "p.public.a", 2*lateHeartbeat
		stop := r.start(t)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableCopying })
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableStreaming })
		require.NoError(t, stop())
		require.False(t, r.overlaps.Load(), "the sink has one user at a time")
	})
}

// TestADeletedTopicIsCopiedAgain: what was in it is gone, so that its readers need a copy.
func TestADeletedTopicIsCopiedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.made = "p.public.a"
		r.tables.unknown = map[uint32]error{1: errLost} // the registry is away at first
		failed := r.start(t)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableCopying })
		require.NoError(t, failed())
		r.made, r.tables.unknown = "", nil
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state := r.snapshot()
		require.EqualValues(t, 2, state.Tables["public.a"].Generation)
		require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
		require.EqualValues(t, 1, state.Tables["public.b"].Generation)
	})
}

// TestResnapshotRefusals: what is refused, and that each way out of it works.
func TestResnapshotRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *rig)
		table  string
		fix    string
	}{
		{"capture runs", func(r *rig) { r.server.slot.Active = true }, "public.a", "stop the process that captures"},
		{"no such table", func(*rig) {}, "public.c", "dirtbike status"},
		{"a name that is nearly one", func(*rig) {}, "publik.a", "dirtbike resnapshot public.a, or dirtbike status"},
		{"a name that is none", func(*rig) {}, "elsewhere.entirely", "Try: dirtbike status"},
		{"it cannot be captured", func(r *rig) { r.tables.list[0] = refused(1, "a", errKeyless) }, "public.a", "give it a key"},
		{"a new one that cannot be", func(r *rig) { r.tables.list = append(r.tables.list, refused(3, "c", errKeyless)) }, "public.c", "give it a key"},
		{"another's policy", func(r *rig) { r.tables.list[1].PolicyPrint = "x" }, "public.a", "Try: dirtbike resnapshot public.a public.b, or put the former policy back"},
		{"the slot is gone", func(r *rig) { r.server.slot = nil }, "public.a", cdc.ResnapshotAllCommand},
		{"another prefix", func(r *rig) { r.tables.list[0].Topic = &cdc.Topic{Name: "q", Partitions: 2} }, "public.a", "put kafka.prefix back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			everyWayWorks(t, func(t *testing.T) (*rig, error) {
				r := ran(t)
				test.change(r)
				points, fences := len(r.points), r.fences()
				err := r.resnapshot(t, test.table)
				requireFix(t, err, test.fix)
				require.NotContains(t, err.Error(), "\n")
				require.True(t, errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap))
				require.Len(t, r.points, points, "nothing is committed")
				require.Equal(t, fences, r.fences())
				return r, err
			})
		})
	}
}

func TestResnapshotOfARowThatCannotBeCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.server.rows[1] = []string{"!"}
		err := r.resnapshot(t, "public.a", "public.b")
		require.ErrorIs(t, err, ErrStillRefused)
		require.Contains(t, cdc.Explain(err).What, "public.a: "+errValue.Error())
		_, state := r.snapshot()
		require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
		require.EqualValues(t, 2, state.Tables["public.b"].Generation)
	})
}

// TestChangesBelowTheCut: what the log says of a table before its copy may not fit the table any more; the copy has
// what became of it.
func TestChangesBelowTheCut(t *testing.T) {
	mismatch := errors.New("columns differ")
	relation := cdc.Event{Kind: cdc.EventRelation, Described: &cdc.WireRelation{OID: 1, Schema: "public", Name: "a"}}
	predecessor := cdc.Event{Kind: cdc.EventRelation, Described: &cdc.WireRelation{OID: 77, Schema: "public", Name: "a"}}
	for _, test := range []struct {
		name         string
		below, after []cdc.Event
		mismatch     bool
		quarantined  bool
		left         []string
	}{
		{"a value that cannot be carried", []cdc.Event{insert(1, "!"), insert(1, "x")}, []cdc.Event{insert(1, "y")}, false, false, []string{"x", "y"}},
		{"after the cut it quarantines", []cdc.Event{insert(1, "x")}, []cdc.Event{insert(1, "!"), insert(1, "y")}, false, true, []string{"x"}},
		{"other columns", []cdc.Event{relation, insert(1, "x"), truncate(1)}, nil, true, false, nil},
		{"other columns, also after the cut", []cdc.Event{relation, insert(1, "x")}, []cdc.Event{relation, insert(1, "y")}, true, true, nil},
		{"a table of that name, dropped since", []cdc.Event{predecessor, insert(77, "x")}, []cdc.Event{insert(1, "y")}, false, false, []string{"y"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.server.add(test.below...)
				r.server.add(insert(2, "other"))
				if test.mismatch {
					r.tables.mismatch[1] = mismatch
				}
				require.NoError(t, r.resnapshot(t, "public.a"))
				r.server.add(test.after...)
				stop := r.start(t)
				r.streaming(t)
				require.NoError(t, stop())
				records, state := r.snapshot()
				var left []string
				for _, c := range changes(records) {
					if c.Topic == "p.public.a" {
						left = append(left, c.Body)
					}
				}
				require.Equal(t, test.left, left)
				require.Equal(t, test.quarantined, state.Tables["public.a"].Phase == cdc.TableQuarantined)
			})
		})
	}
}

// TestResnapshotAll: what stops a start with ErrGap, and some of what is refused, is fixed by it; nothing is skipped
// after its snapshot and nothing comes twice.
func TestResnapshotAll(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *rig)
		past   cdc.HighWater
		epoch  uint32
		a      uint32 // generation of public.a
	}{
		{"nothing wrong", func(*rig) {}, cdc.HighWater{}, 2, 2},
		{"slot gone", func(r *rig) { r.server.slot = nil }, cdc.HighWater{}, 2, 2},
		{"slot ahead", func(r *rig) { r.server.slot.ConfirmedFlush = 5000 }, cdc.HighWater{}, 2, 2},
		{"slot lost", func(r *rig) { r.server.slot.WALStatus = "lost" }, cdc.HighWater{}, 2, 2},
		{"two_phase", func(r *rig) { r.server.slot.TwoPhase = true }, cdc.HighWater{}, 2, 2},
		{"publication gone", func(r *rig) { r.server.published = nil }, cdc.HighWater{}, 2, 2},
		{"state gone", func(r *rig) { r.state = cdc.State{Tables: map[string]cdc.TableState{}} }, cdc.HighWater{Epoch: 3, Generations: map[string]uint32{"public.a": 7}}, 4, 8},
		{"ClickHouse has seen more", func(*rig) {}, cdc.HighWater{Epoch: 3, Generations: map[string]uint32{"public.a": 7}}, 4, 8},
		{"progress has seen more", func(r *rig) {
			r.state.HighWater = cdc.HighWater{Epoch: 4, Generations: map[string]uint32{"public.a": 5}}
		}, cdc.HighWater{}, 5, 6},
		{"other system", func(r *rig) { r.server.identity.System = "8" }, cdc.HighWater{}, 2, 2},
		{"older timeline", func(r *rig) { r.state.Source.Timeline = 2 }, cdc.HighWater{}, 2, 2},
		{"restored older server", func(r *rig) { r.server.identity.Flushed = 900; r.server.slot = nil }, cdc.HighWater{}, 2, 2},
		{"hash key", func(r *rig) { r.options.HashKeys = map[string]string{"k1": "f2"} }, cdc.HighWater{}, 2, 2},
		{"policy", func(r *rig) { r.tables.list[0].PolicyPrint = "x" }, cdc.HighWater{}, 2, 2},
		{"quarantined", func(r *rig) {
			s := r.state.Tables["public.a"]
			s.Phase = cdc.TableQuarantined
			r.state.Tables["public.a"] = s
		}, cdc.HighWater{}, 2, 2},
		{"a part of a transaction is stored", func(r *rig) { r.state.Point.Partial, r.state.Point.Position.CommitLSN = true, 1200 }, cdc.HighWater{}, 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.change(r)
				lost := r.server.add(insert(1, "in the copy"))
				require.NoError(t, r.resnapshotAll(t, test.past))
				after := r.server.add(insert(2, "after"))
				stop := r.start(t)
				r.streaming(t)
				require.NoError(t, stop())
				records, state := r.snapshot()
				require.Equal(t, test.epoch, state.Source.Epoch)
				require.Equal(t, r.options.Slot, state.Source.Slot)
				require.Equal(t, r.options.HashKeys, state.Source.HashKeys)
				require.Equal(t, test.a, state.Tables["public.a"].Generation)
				require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
				require.Equal(t, []record{{"p.public.b", 1, "c", cdc.Position{Epoch: test.epoch, CommitLSN: after.commit, Ordinal: 1}, state.Tables["public.b"].Generation, "after"}}, changes(records))
				for _, end := range ofOps(records, "end") {
					if end.Generation == test.a && end.Topic == "p.public.a" {
						require.Equal(t, cdc.Position{Epoch: test.epoch, CommitLSN: lost.end}, end.Position)
					}
				}
				require.False(t, r.server.early)
			})
		})
	}
}

// TestResnapshotAllRemembersWhatIsNotCaptured: a table that comes back begins above all that was ever written of it.
func TestResnapshotAllRemembersWhatIsNotCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.state = cdc.State{Tables: map[string]cdc.TableState{}}
		all := r.tables.list
		r.tables.list = all[1:]
		require.NoError(t, r.resnapshotAll(t, cdc.HighWater{Epoch: 1, Generations: map[string]uint32{"public.a": 7}}))
		r.tables.list = all
		stop := r.start(t)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableStreaming })
		require.NoError(t, stop())
		require.EqualValues(t, 8, r.state.Tables["public.a"].Generation)
	})
}

// TestALostStateIsNoFirstStart: neither with another slot nor with none.
func TestALostStateIsNoFirstStart(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"the slot": func(*rig) {}, "another slot": func(r *rig) { r.server.slot = nil; r.options.Slot = "other" }, "no slot": func(r *rig) { r.server.slot = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.state = cdc.State{Tables: map[string]cdc.TableState{}, HighWater: cdc.HighWater{Epoch: 1}}
				change(r)
				err := r.fails(t)
				require.ErrorIs(t, err, cdc.ErrGap)
				requireFix(t, err, cdc.ResnapshotAllCommand)
				require.Error(t, r.resnapshot(t, "public.a"))
			})
		})
	}
}

func TestResnapshotAllOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		mark := len(r.journal.all())
		require.NoError(t, r.resnapshotAll(t, cdc.HighWater{}))
		require.Equal(t, []string{
			"topic p.public.a", "topic p.public.b",
			"commit 0/0 a=copying/2 b=copying/2 source=renewing 4×open", "commit 0/0 source=renewing", "drop slot", "commit 0/0 source=creating", "publication", "commit 0/0 a=copying/2 b=copying/2", "slot", "commit 0/3E8 source=streaming",
		}, r.since(mark)[:10])
	})
}

func TestResnapshotAllRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *rig)
		fix    string
	}{
		{"capture runs", func(r *rig) { r.server.slot.Active = true }, "stop the process that captures"},
		{"another plugin", func(r *rig) { r.server.slot.Plugin = "wal2json" }, dropIt},
		{"another slot's name", func(r *rig) { r.options.Slot = "other" }, "name dirtbike in source.slot"},
		{"a physical slot", func(r *rig) { r.server.slot.Plugin = "" }, dropIt},
		{"another database's slot", func(r *rig) { r.server.slot.Database = "x" }, dropIt},
		{"a table without a key", func(r *rig) {
			r.tables.list[0] = refused(1, "a", errKeyless)
			r.tables.list[0].Exactly = true
		}, "give it a key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			everyWayWorks(t, func(t *testing.T) (*rig, error) {
				r := ran(t)
				test.change(r)
				points := len(r.points)
				err := r.resnapshotAll(t, cdc.HighWater{})
				require.ErrorIs(t, err, cdc.ErrRefused)
				requireFix(t, err, test.fix)
				require.Len(t, r.points, points, "nothing is committed")
				require.NotContains(t, r.journal.all(), "drop slot")
				return r, err
			})
		})
	}
}

// TestResnapshotAllIsCutShort kills it at each step. Before the state is `creating` only ResnapshotAll goes on; after
// it any start does.
func TestResnapshotAllIsCutShort(t *testing.T) {
	for _, test := range []struct {
		name    string
		kill    func(r *rig)
		anybody bool
	}{
		{"before the slot is dropped", func(r *rig) { r.server.dropErr = cdc.ErrRefused }, false},
		{"after the slot", failIn(cdc.PhaseRenewing), false},
		{"before the new slot", func(r *rig) { r.server.slotErr = cdc.ErrRefused }, true},
		{"after the new slot", failIn(cdc.PhaseCreating), true},
		{"in the copy", func(r *rig) { r.server.copying = func(*cdc.Table) error { return errLost } }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.kill(r)
				require.Error(t, r.resnapshotAll(t, cdc.HighWater{}))
				r.fail, r.server.slotErr, r.server.dropErr, r.server.copying = nil, nil, nil, nil
				lost := r.server.add(insert(1, "meanwhile"))
				epoch := uint32(2)
				if !test.anybody {
					requireFix(t, r.fails(t), cdc.ResnapshotAllCommand)
					require.NoError(t, r.resnapshotAll(t, cdc.HighWater{}))
					epoch = 3
				}
				stop := r.start(t)
				r.streaming(t)
				require.NoError(t, stop())
				records, state := r.snapshot()
				require.Equal(t, epoch, state.Source.Epoch)
				published := 0
				for _, c := range changes(records) {
					require.Equal(t, cdc.Position{Epoch: epoch, CommitLSN: lost.commit, Ordinal: 1}, c.Position)
					published++
				}
				require.LessOrEqual(t, published, 1, "it is in the copy; below its cut it may be published, once")
				require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
				require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
			})
		})
	}
}

// failIn fails the first commit after that of a phase of the second epoch.
func failIn(phase cdc.Phase) func(r *rig) {
	return func(r *rig) {
		r.fail = func(point string) error {
			if point == "before" && r.state.Source.Phase == phase && r.state.Source.Epoch == 2 {
				return cdc.ErrFenced
			}
			return nil
		}
	}
}
