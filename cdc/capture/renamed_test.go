package capture

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestRenamedTableKeepsItsPolicies: a table is renamed and another gets its name. Under the new one, which no policy
// names, it would leave as it is: it is left out, also when its former name has become the other's, until it is named.
func TestRenamedTableKeepsItsPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		other, renamed := newTable(9, "a"), newTable(1, "old")
		renamed.PolicyPrint, renamed.Unnamed = "none", true
		r.tables.list = []*cdc.Table{other, r.tables.list[1], renamed}
		var told *cdc.State
		r.options.Listed = func(tables []*cdc.Table, state *cdc.State) {
			require.Len(t, tables, 3)
			told = state
		}
		run := func() (old TableStatus, state cdc.State) {
			stop := r.start(t)
			r.streaming(t)
			old = find(t, r.capture.Status().Tables, "public.old")
			require.NoError(t, stop())
			_, state = r.snapshot()
			return old, state
		}
		old, _ := run()
		require.EqualValues(t, tableSkipped, old.Phase)
		requireReason(t, old.Reason, `name public.old under privacy.columns, if only by "*": keep`)
		require.ErrorIs(t, r.resnapshot(t, "public.old"), cdc.ErrRefused)
		require.NoError(t, r.resnapshot(t, "public.a"))
		require.Error(t, LeftOut(renamed, told), "what is said to leave leaves it out, too")
		require.NoError(t, LeftOut(other, told))
		old, state := run()
		require.EqualValues(t, 9, state.Tables["public.a"].OID)
		require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
		require.EqualValues(t, tableSkipped, old.Phase)
		require.NoError(t, r.resnapshotAll(t, cdc.HighWater{}))
		old, _ = run()
		require.EqualValues(t, tableSkipped, old.Phase)
		renamed.Unnamed = false
		old, _ = run()
		require.Equal(t, cdc.TableStreaming, old.Phase)
	})
}

// TestRenamedColumnKeepsItsPolicy: a column is renamed and another gets its name. Under the new one, which no policy
// names, it would leave as it is: the table is not copied again until it is named, by no way.
func TestRenamedColumnKeepsItsPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		a := r.tables.list[0]
		a.Columns, a.Guarded = []cdc.Column{{Number: 1, Name: "id"}, {Number: 2, Name: "ssn"}}, []string{"ssn"}
		a.GuardedAt = []string{"dirtbike.yaml:12"}
		run := func() TableStatus {
			stop := r.start(t)
			r.streaming(t)
			defer func() { require.NoError(t, stop()) }()
			return find(t, r.capture.Status().Tables, "public.a")
		}
		require.Equal(t, cdc.TableStreaming, run().Phase)
		a.Shape, a.Open = "x", []int16{2}
		a.Columns = []cdc.Column{{Number: 1, Name: "id"}, {Number: 2, Name: "former"}, {Number: 3, Name: "ssn"}}
		const way = "name column former under privacy.columns, if only to keep it"
		for range 2 {
			r.server.idle(1)
			now := run()
			require.Equal(t, cdc.TableQuarantined, now.Phase)
			requireReason(t, now.Reason, way)
			for _, err := range []error{r.resnapshot(t, "public.a"), r.resnapshotAll(t, cdc.HighWater{})} {
				require.ErrorIs(t, err, cdc.ErrRefused)
				require.Equal(t, way, cdc.Explain(err).Remedies()[0].Command)
				require.Contains(t, cdc.Explain(err).What, "as ssn (dirtbike.yaml:12)", "where the policy is written")
			}
		}
		b := r.tables.list[1]
		r.tables.list, r.tables.unselected = []*cdc.Table{b}, []uint32{1} // left out for a while
		stop := r.start(t)
		r.streaming(t)
		require.NoError(t, stop())
		r.tables.list, r.tables.unselected = []*cdc.Table{a, b}, nil
		var told *cdc.State
		r.options.Listed = func(_ []*cdc.Table, state *cdc.State) { told = state }
		now := run()
		require.EqualValues(t, tableSkipped, now.Phase)
		requireReason(t, now.Reason, way)
		require.Error(t, LeftOut(a, told), "nothing of it is said to leave")
		require.NoError(t, LeftOut(b, told))
		a.Open = nil
		require.Equal(t, cdc.TableStreaming, run().Phase)
	})
}

// TestSwappedColumnsKeepTheirPolicies: a withheld column gets the name of one that is kept, and that one its name. What
// is withheld leaves under the other's name only after a person has left the table out and named it again.
func TestSwappedColumnsKeepTheirPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		a, b := r.tables.list[0], r.tables.list[1]
		a.Guarded, a.Kept = []string{"ssn"}, []int16{1, 2}
		a.Columns = []cdc.Column{{Number: 1, Name: "id"}, {Number: 2, Name: "note"}, {Number: 3, Name: "ssn"}}
		run := func(tables ...*cdc.Table) TableStatus {
			r.tables.list = tables
			stop := r.start(t)
			r.streaming(t)
			defer func() { require.NoError(t, stop()) }()
			for _, table := range r.capture.Status().Tables {
				if table.Table == "public.a" {
					return table
				}
			}
			return TableStatus{}
		}
		require.Equal(t, cdc.TableStreaming, run(a, b).Phase)
		names := a.Columns
		a.Shape, a.Kept = "x", []int16{1, 3}
		a.Columns = []cdc.Column{{Number: 1, Name: "id"}, {Number: 2, Name: "ssn"}, {Number: 3, Name: "note"}}
		const back, leave = "rename the columns of public.a back", `if it may leave, add "!public.a" to source.tables, restart capture, and take that out again`
		r.server.idle(1)
		now := run(a, b)
		require.Equal(t, cdc.TableQuarantined, now.Phase)
		requireReason(t, now.Reason, back+"; then dirtbike resnapshot public.a")
		for _, err := range []error{r.resnapshot(t, "public.a"), r.resnapshotAll(t, cdc.HighWater{})} {
			require.ErrorIs(t, err, cdc.ErrRefused)
			require.Equal(t, []cdc.Remedy{{Command: back}, {Command: leave}}, cdc.Explain(err).Remedies())
		}

		swapped := a.Columns
		a.Shape, a.Kept, a.Columns = "", []int16{1, 2}, names
		require.NoError(t, r.resnapshot(t, "public.a"), "the first way")
		a.Shape, a.Kept, a.Columns = "x", []int16{1, 3}, swapped
		require.Equal(t, cdc.TableQuarantined, run(a, b).Phase)
		r.tables.unselected = []uint32{1}
		require.NotEqual(t, cdc.TableStreaming, run(b).Phase)
		r.tables.unselected = nil
		require.Equal(t, cdc.TableStreaming, run(a, b).Phase, "the second way")
	})
}
