package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
)

// conditions come before what is to be done.
var conditions = []string{
	"if the state topic was lost, ", "raise max_slot_wal_keep_size, then ", "raise idle_replication_slot_timeout, then ", "if this is a first start and the slot is another pipeline's, ",
	"if public.a is to be left out, ", "if public.b is to be left out, ",
}

// take does what a way out says, in the fakes' world, as the person does who reads it: one step after the other.
func (r *rig) take(t *testing.T, way string) {
	t.Helper()
	for _, condition := range conditions {
		way = strings.TrimPrefix(way, condition)
	}
	steps := strings.Split(way, "; then ")
	if drop, rest, is := strings.Cut(way, ", then "); is {
		steps = []string{drop, rest}
	}
	for _, step := range steps {
		r.step(t, step)
	}
}

func (r *rig) step(t *testing.T, step string) {
	t.Helper()
	first, _, _ := strings.Cut(step, ";")
	words := strings.Fields(first)
	switch {
	case step == cdc.ResnapshotAllCommand:
		require.NoError(t, r.resnapshotAll(t, cdc.HighWater{}))
	case strings.HasPrefix(step, "dirtbike resnapshot "):
		require.NoError(t, r.resnapshot(t, words[2:]...))
	case step == "another name in source.slot", step == "name another in source.slot":
		r.options.Slot, r.server.slot = "another", nil // there is none of that name
	case words[0] == "name":
		require.Equal(t, r.state.Source.Slot, words[1])
		r.options.Slot, r.server.slot.Plugin = words[1], "pgoutput"
	case strings.HasPrefix(step, "if nothing needs it, SELECT "):
		require.Contains(t, step, "('"+r.options.Slot+"')")
		r.server.slot = nil
	case step == "stop the process that captures":
		r.server.slot.Active = false
	case step == "connect to the former cluster":
		r.server.identity.System, r.server.identity.Database, r.server.slot.Database = "7", "clinic", "clinic"
	case step == "connect to the former server":
		r.server.identity.Timeline, r.server.identity.Switches = r.state.Source.Timeline, nil
	case words[0] == "kafka.partitions:":
		n, err := strconv.ParseInt(words[1], 10, 32)
		require.NoError(t, err)
		r.options.Partitions = int32(n)
	case step == "put the former key back":
		r.options.HashKeys = r.state.Source.HashKeys
	case step == "give the new one another id under privacy.hash.keys":
		r.options.HashKeys = map[string]string{"k2": r.options.HashKeys["k1"]}
	default:
		r.tableStep(t, step)
	}
}

// tableStep is step for what is about tables.
func (r *rig) tableStep(t *testing.T, step string) {
	t.Helper()
	switch {
	case strings.HasPrefix(step, "again; "):
		require.NoError(t, r.resnapshot(t, "public.a"))
	case step == "put the former policy back":
		for _, table := range r.tables.list {
			table.PolicyPrint = r.state.Tables[table.FullName()].PolicyPrint
		}
	case step == "put kafka.prefix back":
		for _, table := range r.tables.list {
			table.Topic = &cdc.Topic{Name: r.state.Tables[table.FullName()].Topic, Partitions: 2}
		}
	case step == `tables: ["public.*"]`:
		r.tables.list = []*cdc.Table{newTable(1, "a"), newTable(2, "b")}
	case step == "give it a key", step == "set it to NONE":
		r.tables.unknown = nil
		for i, table := range r.tables.list {
			if table.Refused != nil || table.BlocksStart != nil {
				r.tables.list[i] = newTable(table.OID, table.Name)
			}
		}
	case step == "correct the name":
		r.tables.unmatched, r.tables.unselected = nil, nil
		r.tables.list = []*cdc.Table{newTable(1, "a"), newTable(2, "b")}
	case step == "remove that name from the config":
		r.tables.unmatched = nil
	case strings.HasPrefix(step, "raise kafka.max_message_bytes, "):
		r.options.MaxRecord = 1000
	case step == "drop the large column under privacy.columns": // its rows are short then, under another policy
		r.server.rows[1], r.tables.list[0].PolicyPrint = []string{"x"}, "dropped"
	case step == "dirtbike status, which lists the tables":
		for name := range r.state.Tables {
			require.NoError(t, r.resnapshot(t, name))
		}
	case step == "dirtbike check": // it names the tables that would be captured
		for _, table := range r.tables.list {
			require.NoError(t, r.resnapshot(t, table.FullName()))
		}
	default:
		require.Fail(t, "nothing does what it says", "%q", step)
	}
}

// everyWayWorks gets the ways out of a trouble and takes each, in a world of its own: after it a start follows the log,
// with every table that the config names.
func everyWayWorks(t *testing.T, trouble func(t *testing.T) (r *rig, err error)) {
	t.Helper()
	ways := -1
	for i := 0; ways < 0 || i < ways; i++ {
		synctest.Test(t, func(t *testing.T) {
			r, err := trouble(t)
			remedies := cdc.Explain(err).Remedies()
			if ways = len(remedies); i >= ways {
				return
			}
			r.take(t, remedies[i].Command)
			r.works(t, remedies[i].Command)
		})
	}
}

// works requires that a start follows the log with every table.
func (r *rig) works(t *testing.T, after string) {
	t.Helper()
	streams := r.server.opened()
	r.server.idle(1)
	stop := r.start(t)
	for waited := 0; r.server.opened() == streams; waited++ {
		require.Less(t, waited, 60, "%s: %v", after, r.capture.Status().LastError)
		time.Sleep(time.Second) // the bubble's clock
		synctest.Wait()
	}
	r.caughtUp(t)
	for _, table := range r.capture.Status().Tables {
		require.Equal(t, cdc.TableStreaming, table.Phase, "%s: %s", after, table.Reason)
	}
	require.True(t, r.capture.Status().Healthy, after)
	require.NoError(t, stop())
}

// TestASlotOfSomebodyElse: before a pipeline has begun another name is the way out.
func TestASlotOfSomebodyElse(t *testing.T) {
	for _, change := range []func(*cdc.SlotStatus){
		func(s *cdc.SlotStatus) { s.Plugin = "" },
		func(s *cdc.SlotStatus) { s.Plugin = "wal2json" },
		func(s *cdc.SlotStatus) { s.Database = "x" },
		func(s *cdc.SlotStatus) { s.TwoPhase = true },
	} {
		everyWayWorks(t, func(t *testing.T) (*rig, error) {
			r := newRig()
			r.server.slot = &cdc.SlotStatus{Plugin: "pgoutput", Database: "clinic", ConfirmedFlush: 500, WALStatus: "reserved"}
			change(r.server.slot)
			err := r.fails(t)
			require.ErrorIs(t, err, cdc.ErrRefused)
			require.Equal(t, []cdc.Remedy{{Command: "another name in source.slot"}}, cdc.Explain(err).Try)
			return r, err
		})
	}
}

// TestATableRenamedTwice: the way out that was stored after the first rename leads to it under its present name.
func TestATableRenamedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := followed(t)
		r.tables.drift.Store(&map[uint32]error{1: cdc.Failed("the table was renamed to public.x").Fix("%s", cdc.ResnapshotCommand("public.x"))})
		r.until(t, func(s cdc.State, _ []record) bool { return s.Tables["public.a"].Phase == cdc.TableQuarantined })
		_, state := r.snapshot()
		way := cdc.ParseProblem(state.Tables["public.a"].Reason).Try[0].Command
		require.Equal(t, "dirtbike resnapshot public.x", way)
		require.NoError(t, stop())
		r.tables.drift.Store(nil)
		renamed := newTable(3, "y")
		renamed.OID = 1
		r.tables.list[0] = renamed
		r.take(t, way)
		r.works(t, way)
		_, state = r.snapshot()
		require.Equal(t, cdc.TableStreaming, state.Tables["public.y"].Phase)
		require.Equal(t, cdc.TableExcluded, state.Tables["public.a"].Phase)
	})
}

// TestALongFirstStartShowsThatItProceeds: of 200 tables, while topics are made and while they are copied, in the log at
// least every few seconds and in the status with counts.
func TestALongFirstStartShowsThatItProceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tables = 200
		r := newRig()
		core, logs := observer.New(zap.InfoLevel)
		r.options.Log = zap.New(core)
		r.tables.list = nil
		for i := range tables {
			r.tables.list = append(r.tables.list, newTable(uint32(i+1), fmt.Sprintf("t%03d", i)))
			r.server.rows[uint32(i+1)] = []string{"x"}
		}
		r.slowTopic = 200 * time.Millisecond
		r.server.copying = func(*cdc.Table) error {
			time.Sleep(time.Second) // the bubble's clock
			return nil
		}
		began := time.Now()
		stop := r.start(t)
		var shown []string
		for r.server.opened() == 0 || r.capture.Status().Progress != "" {
			time.Sleep(5 * time.Second) // the bubble's clock
			synctest.Wait()
			if progress := r.capture.Status().Progress; progress != "" {
				shown = append(shown, progress)
			}
		}
		require.Greater(t, time.Since(began), 2*time.Minute)
		require.Equal(t, len(shown), len(slices.Compact(slices.Clone(shown))), "it moves on between two looks: %v", shown)
		require.Regexp(t, `^preparing topics and schemas: \d+ of 200 tables$`, shown[0])
		require.Regexp(t, `^copying: \d+ of 200 tables$`, shown[len(shown)-1])
		said := logs.FilterFieldKey("of").All()
		last := began
		for _, line := range said {
			require.LessOrEqual(t, line.Time.Sub(last), 10*time.Second)
			last = line.Time
		}
		require.Greater(t, len(said), 20)
		require.NoError(t, stop())
	})
}
