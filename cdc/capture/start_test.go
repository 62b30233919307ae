package capture

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

func TestFirstStartOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1] = []string{"x", "y"}
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		lines := r.journal.all()
		require.Equal(t, []string{
			"topic p.public.a", "topic p.public.b",
			"commit 0/0 a=copying/1 b=copying/1 source=creating 4×open", "publication", "members", "commit 0/0 a=copying/1 b=copying/1", "slot", "commit 0/3E8 source=streaming",
		}, lines[:8])
		require.Equal(t, "stream from 0/3E8", lines[8])
		require.Contains(t, strings.Join(lines[9:], "\n"), "a=streaming/1")
		records, state := r.snapshot()
		require.Len(t, ofOps(records, "r"), 2)
		for _, read := range ofOps(records, "r", "end") {
			require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: 1000}, read.Position)
			require.EqualValues(t, 1, read.Generation)
		}
		require.EqualValues(t, 2, state.Tables["public.a"].Rows)
		require.Equal(t, "0000000100000000000003e800000000", state.Tables["public.a"].Cut)
	})
}

// TestStartDecisions: what is refused, and that each way out of it works.
func TestStartDecisions(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *rig)
		is     error
		fix    string
	}{
		{"slot gone", func(r *rig) { r.server.slot = nil }, cdc.ErrGap, cdc.ResnapshotAllCommand},
		{"state gone", func(r *rig) { r.state = cdc.State{Tables: map[string]cdc.TableState{}} }, cdc.ErrGap, "if the state topic was lost"},
		{"slot ahead", func(r *rig) { r.server.slot.ConfirmedFlush = 5000 }, cdc.ErrGap, cdc.ResnapshotAllCommand},
		{"two_phase", func(r *rig) { r.server.slot.TwoPhase = true }, cdc.ErrRefused, cdc.ResnapshotAllCommand},
		{"wrong plugin", func(r *rig) { r.server.slot.Plugin = "wal2json" }, cdc.ErrRefused, dropIt},
		{"physical slot", func(r *rig) { r.server.slot.Plugin = "" }, cdc.ErrRefused, dropIt},
		{"slot of another database", func(r *rig) { r.server.slot.Database = "x" }, cdc.ErrRefused, dropIt},
		{"another's slot is named", func(r *rig) { r.options.Slot, r.server.slot.Plugin = "other", "wal2json" }, cdc.ErrRefused, "name dirtbike in source.slot"},
		{"slot lost", func(r *rig) { r.server.slot.WALStatus = "lost" }, cdc.ErrGap, "max_slot_wal_keep_size"},
		{"slot invalidated", func(r *rig) { r.server.slot.Invalidation = "idle_timeout" }, cdc.ErrGap, "raise idle_replication_slot_timeout, then "},
		{"other system", func(r *rig) { r.server.identity.System = "8" }, cdc.ErrGap, "connect to the former cluster"},
		{"other database", func(r *rig) { r.server.identity.Database, r.server.slot.Database = "x", "x" }, cdc.ErrGap, "connect to the former cluster"},
		{"timeline switched before the stored point", func(r *rig) {
			r.server.identity.Timeline, r.server.identity.Switches = 2, []cdc.TimelineSwitch{{Timeline: 1, At: 999}}
		}, cdc.ErrGap, cdc.ResnapshotAllCommand},
		{"timeline switched inside a stored part", func(r *rig) {
			r.state.Point.Partial, r.state.Point.Position.CommitLSN = true, 1200
			r.server.identity.Timeline, r.server.identity.Switches = 2, []cdc.TimelineSwitch{{Timeline: 1, At: 1100}}
		}, cdc.ErrGap, cdc.ResnapshotAllCommand},
		{"timeline of another branch", func(r *rig) {
			r.state.Source.Timeline = 2
			r.server.identity.Timeline, r.server.identity.Switches = 3, []cdc.TimelineSwitch{{Timeline: 1, At: 5000}}
		}, cdc.ErrGap, "connect to the former server"},
		{"older timeline", func(r *rig) { r.state.Source.Timeline = 2 }, cdc.ErrGap, "connect to the former server"},
		{"restored older server", func(r *rig) { r.server.identity.Flushed = 999 }, cdc.ErrGap, cdc.ResnapshotAllCommand},
		{"partitions differ", func(r *rig) { r.options.Partitions = 3 }, cdc.ErrRefused, "kafka.partitions: 2"},
		{"slot name differs", func(r *rig) { r.options.Slot = "other" }, cdc.ErrRefused, "name dirtbike in source.slot"},
		{"hash key differs", func(r *rig) { r.options.HashKeys = map[string]string{"k1": "f2"} }, cdc.ErrRefused, "privacy.hash.keys"},
		{"policy differs", func(r *rig) { r.tables.list[0].PolicyPrint = "x" }, cdc.ErrRefused, "Try: dirtbike resnapshot public.a, or put the former policy back"},
		{"two policies differ", func(r *rig) { r.tables.list[0].PolicyPrint, r.tables.list[1].PolicyPrint = "x", "y" }, cdc.ErrRefused, "Try: dirtbike resnapshot public.a public.b, or"},
		{"topic differs", func(r *rig) { r.tables.list[0].Topic = &cdc.Topic{Name: "q", Partitions: 2} }, cdc.ErrRefused, "kafka.prefix"},
		{"publication gone", func(r *rig) { r.server.published = nil }, cdc.ErrGap, cdc.ResnapshotAllCommand},
		{"no table", func(r *rig) { r.tables.err = cdc.ErrRefused }, cdc.ErrRefused, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			everyWayWorks(t, func(t *testing.T) (*rig, error) {
				r := ran(t)
				test.change(r)
				before := len(r.points)
				err := r.fails(t)
				require.ErrorIs(t, err, test.is)
				requireFix(t, err, test.fix)
				require.Len(t, r.points, before, "nothing is committed")
				return r, err
			})
		})
	}
}

// dropIt is the way out where another slot has the name of this pipeline's.
const dropIt = "if nothing needs it, SELECT pg_catalog.pg_drop_replication_slot('dirtbike'), then " + cdc.ResnapshotAllCommand

func TestTimelineSwitchBehindTheStoredPointIsFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.server.identity.Timeline, r.server.identity.Switches = 2, []cdc.TimelineSwitch{{Timeline: 1, At: 1000}}
		r.options.HashKeys = map[string]string{"k2": "f2"}
		stop := r.start(t)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Source.Timeline == 2 })
		require.NoError(t, stop())
		require.Equal(t, map[string]string{"k1": "f1", "k2": "f2"}, r.state.Source.HashKeys, "a key once used stays known")
	})
}

// TestCreatingIsResumed kills the first start at each step.
func TestCreatingIsResumed(t *testing.T) {
	for _, test := range []struct {
		name       string
		slot       bool
		generation uint32
		point      cdc.LSN
	}{{"before the slot", false, 2, 1020}, {"after the slot", true, 2, 1000}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.server.rows[1] = []string{"x"}
				if test.slot {
					r.fail = func(p string) error { // the commit of the consistent point
						if p == "before" && r.state.Source.Phase == cdc.PhaseCreating && r.server.slot != nil {
							return cdc.ErrFenced
						}
						return nil
					}
				} else {
					r.server.slotErr = cdc.ErrRefused
				}
				require.Error(t, r.fails(t))
				require.Equal(t, cdc.PhaseCreating, r.state.Source.Phase)
				r.fail, r.server.slotErr = nil, nil
				r.tables.list[0].KeyPrint, r.tables.list[0].PolicyPrint, r.tables.list[0].OID = "k2", "p2", 11 // nothing was written yet
				r.server.rows[11] = []string{"x"}
				change := r.server.add(insert(2, "new"))
				stop := r.start(t)
				r.streaming(t)
				require.NoError(t, stop())
				records, state := r.snapshot()
				for _, name := range []string{"public.a", "public.b"} {
					require.Equal(t, cdc.TableStreaming, state.Tables[name].Phase)
					require.Equal(t, test.generation, state.Tables[name].Generation)
				}
				require.Equal(t, test.point, state.Source.ConsistentPoint)
				if test.slot {
					require.Equal(t, []record{{"p.public.b", 1, "c", cdc.Position{Epoch: 1, CommitLSN: change.commit, Ordinal: 1}, 2, "new"}}, changes(records))
				}
			})
		})
	}
}

func TestTablesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		c := newTable(3, "c")
		r.server.rows[3] = []string{"z"}
		all := r.tables.list
		restart := func(list ...*cdc.Table) map[string]cdc.TableState {
			r.tables.list = list
			r.server.idle(1)
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
			_, state := r.snapshot()
			return state.Tables
		}
		got := restart(all[0], all[1], c)
		require.Equal(t, cdc.TableStreaming, got["public.c"].Phase)
		require.EqualValues(t, 1, got["public.c"].Generation)
		require.EqualValues(t, 1, got["public.a"].Generation)
		got = restart(all[1], c)
		require.Equal(t, cdc.TableExcluded, got["public.a"].Phase)
		all[0].PolicyPrint = "another" // excluding a table acknowledges it
		got = restart(all[0], all[1], c)
		require.Equal(t, cdc.TableStreaming, got["public.a"].Phase)
		require.EqualValues(t, 2, got["public.a"].Generation)
		require.EqualValues(t, 1, got["public.c"].Generation)
	})
}

// TestOpenComesBeforeTheCopy: and after the table is in the publication.
func TestOpenComesBeforeTheCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		from := len(r.journal.all())
		r.tables.list = append(r.tables.list, newTable(3, "c"))
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		var order []string // the publication is read first, when the start is tried
		for _, line := range r.journal.all()[from:] {
			if strings.Contains(line, "×") || line == "publication" || line == "members" || strings.HasPrefix(line, "stream ") {
				order = append(order, line)
			}
		}
		require.Equal(t, []string{"members", "members", "publication", "commit 0/3E8 c=copying/1 source=streaming 2×open", "members", "stream from 0/3E8", "commit 0/3E8 c=streaming/1 2×end"}, order)
	})
}

// TestChangedColumnsAreNamed: also those that changed while no capture ran. A state of an older build, which lists
// none, is brought up to date by a start that finds the columns as they were.
func TestChangedColumnsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		a := r.tables.list[0]
		a.Columns = []cdc.Column{{Number: 1, Name: "id", Type: "bigint"}, {Number: 2, Name: "note", Type: "text"}, {Number: 3, Name: "zip", Type: "char(5)"}}
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state := r.snapshot()
		before := a.Columns
		require.Equal(t, before, state.Tables["public.a"].Columns)
		a.Shape, a.PolicyPrint, a.Columns = "x", "x", []cdc.Column{{Number: 1, Name: "id", Type: "bigint"}, {Number: 3, Name: "postcode", Type: "char(9)"}, {Number: 4, Name: "note", Type: "text"}}
		stop = r.start(t)
		r.streaming(t)
		reason := r.capture.Status().Tables[0].Reason
		require.NoError(t, stop())
		require.Contains(t, reason, cdc.ShapeChange("s", "x", before, a.Columns))
		requireReason(t, reason, cdc.ResnapshotCommand("public.a"))
	})
}

func TestChangedTablesAreQuarantined(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *cdc.Table)
	}{
		{"another OID", func(t *cdc.Table) { t.OID = 77 }},
		{"another shape", func(t *cdc.Table) { t.Shape = "x"; t.PolicyPrint = "x" }},
		{"another key", func(t *cdc.Table) { t.KeyPrint = "x" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				test.change(r.tables.list[0])
				r.server.add(insert(r.tables.list[0].OID, "lost"), insert(2, "kept"))
				for range 2 { // it stays so
					stop := r.start(t)
					r.streaming(t)
					tables := r.capture.Status().Tables
					require.NoError(t, stop())
					require.Len(t, tables, 2)
					require.Equal(t, cdc.TableQuarantined, tables[0].Phase)
					requireReason(t, tables[0].Reason, cdc.ResnapshotCommand("public.a"))
					require.Equal(t, cdc.TableStreaming, tables[1].Phase)
				}
				records, state := r.snapshot()
				require.Equal(t, cdc.TableQuarantined, state.Tables["public.a"].Phase)
				require.Len(t, changes(records), 1)
				require.Equal(t, cdc.Position{Epoch: 1, CommitLSN: 1010, Ordinal: 2}, changes(records)[0].Position)
				all := r.tables.list
				for _, list := range [][]*cdc.Table{all[1:], all} { // the way out
					r.tables.list = list
					r.server.idle(1)
					stop := r.start(t)
					r.streaming(t)
					require.NoError(t, stop())
				}
				_, state = r.snapshot()
				require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
				require.EqualValues(t, 2, state.Tables["public.a"].Generation)
				require.Empty(t, state.Tables["public.a"].Reason)
			})
		})
	}
}

// TestUnpublishedTableIsCopiedAgain: what left the publication missed changes.
func TestUnpublishedTableIsCopiedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		delete(r.server.published, 1)
		killed := errors.New("killed")
		r.fail = func(p string) error { // right after the publication was fixed
			if p == "before" && len(r.server.published[1]) > 0 {
				r.fail = nil
				return errors.Join(cdc.ErrFenced, killed)
			}
			return nil
		}
		o := r.options
		o.Source, o.Sink, o.Tables = r.server, r.sink(), r.tables
		require.ErrorIs(t, NewCapture(o).Run(t.Context()), killed)
		require.NotEmpty(t, r.server.published[1])
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		_, state := r.snapshot()
		require.EqualValues(t, 2, state.Tables["public.a"].Generation, "the kill between must not hide the gap")
		require.EqualValues(t, 1, state.Tables["public.b"].Generation)
	})
}

// TestKilledCopyGoesOn: a copy that was cut short goes on after the last range that is durable, in its generation; one
// that had ended is not touched.
func TestKilledCopyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.options.SnapshotWorkers, r.options.Chunks = 1, 16
		r.tables.list[0].EstimatedRows = 100 // first
		r.tables.list[1].KeyStays = true
		const rows = 5 * firstRange
		for i := range rows {
			r.server.rows[1] = append(r.server.rows[1], body(i))
			r.server.rows[2] = append(r.server.rows[2], body(i))
		}
		r.server.copying = func(t *cdc.Table) error {
			if t.Name != "b" {
				return nil
			}
			time.Sleep(10 * time.Second) // the bubble's clock; what came before is committed
			r.server.mu.Lock()
			r.server.copying = nil
			r.server.mu.Unlock()
			r.server.add(insert(2, "later"))
			return errLost
		}
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		records, state := r.snapshot()
		times := map[string]int{}
		for _, read := range ofOps(records, "r") {
			require.EqualValues(t, 1, read.Generation)
			if read.Topic == "p.public.b" {
				times[read.Body]++
			}
		}
		require.Len(t, times, rows)
		require.Equal(t, 1, times[body(firstRange/2)], "its range was durable")
		require.Len(t, changes(records), 1)
		for _, name := range []string{"public.a", "public.b"} {
			require.Equal(t, cdc.TableStreaming, state.Tables[name].Phase)
			require.EqualValues(t, 1, state.Tables[name].Generation)
			require.EqualValues(t, rows, state.Tables[name].Rows)
			require.Empty(t, state.Tables[name].CopiedTo)
		}
	})
}

// TestACopyWhoseTopicWasDeleted does not go on where it was: what it had written is gone.
func TestACopyWhoseTopicWasDeleted(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := ran(t)
			r.server.rows[2], r.tables.list[1].KeyStays = []string{"y", "z"}, true
			b := r.state.Tables["public.b"]
			b.Phase, b.From, b.Cut, b.CopiedTo = cdc.TableCopying, b.Cut, "", cdc.Key{{Kind: cdc.DatumText, Data: []byte("1")}}.Text()
			r.state.Tables["public.b"] = b
			if deleted {
				r.made = "p.public.b"
			}
			r.server.idle(1)
			stop := r.start(t)
			r.streaming(t)
			require.NoError(t, stop())
			records, state := r.snapshot()
			copied := map[uint32]int{}
			for _, row := range ofOps(records, "r") {
				if row.Topic == "p.public.b" {
					copied[row.Generation]++
				}
			}
			if deleted {
				require.EqualValues(t, 2, state.Tables["public.b"].Generation)
				require.Equal(t, 2, copied[2])
			} else {
				require.EqualValues(t, 1, state.Tables["public.b"].Generation)
				require.Equal(t, 2, copied[1], "the first row from before, and what comes after it")
			}
		})
	}
}

func TestCopyBeatsWhileNothingCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1] = []string{"x", "y"}
		release, waiting := make(chan struct{}), make(chan struct{})
		r.server.copying = func(*cdc.Table) error { close(waiting); <-release; return nil }
		stop := r.start(t)
		<-waiting
		before, _ := r.history()
		time.Sleep(20 * time.Second) // the bubble's clock
		synctest.Wait()
		after, _ := r.history()
		require.GreaterOrEqual(t, len(after)-len(before), 4)
		close(release)
		r.streaming(t)
		require.NoError(t, stop())
	})
}

// TestTwoEpochsAreRefused: a capture that was not fenced has written into a renewed state.
func TestTwoEpochsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		r.state.Source.Epoch = 2
		require.ErrorIs(t, r.fails(t), cdc.ErrGap)
	})
}
