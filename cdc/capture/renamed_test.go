package capture

import (
	"fmt"
	"slices"
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

// policed is a table whose columns after id have these policies, and that the config names.
func policed(oid uint32, name string, columns ...cdc.Column) *cdc.Table {
	t := newTable(oid, name)
	t.Columns = []cdc.Column{{Number: 1, Name: "id"}}
	for i, c := range columns {
		c.Number = int16(i + 2)
		t.Columns = append(t.Columns, c)
		t.PolicyPrint += c.Name + c.Policy
	}
	return t
}

// TestSwappedNamesKeepTheirPolicies: what was withheld does not leave under a name that has another policy, neither by
// the printed command nor when everything is copied, until a person has left the table out and named it again.
func TestSwappedNamesKeepTheirPolicies(t *testing.T) {
	col := func(name, policy string) cdc.Column { return cdc.Column{Name: name, Policy: policy} }
	for name, c := range map[string]struct {
		before, after [2]*cdc.Table // public.a, public.b
		bare          string        // which of them would leave
	}{
		"tables": {
			[2]*cdc.Table{policed(1, "a", col("ssn", "drop")), policed(2, "b", col("ssn", ""))},
			[2]*cdc.Table{policed(2, "a", col("ssn", "drop")), policed(1, "b", col("ssn", ""))}, "public.b",
		},
		"tables, both with policies": {
			[2]*cdc.Table{policed(1, "a", col("ssn", "drop"), col("x", "hash")), policed(2, "b", col("ssn", "mask"), col("x", "hash"))},
			[2]*cdc.Table{policed(2, "a", col("ssn", "drop"), col("x", "hash")), policed(1, "b", col("ssn", "mask"), col("x", "hash"))}, "public.b",
		},
		"tables, and a column was renamed": {
			[2]*cdc.Table{policed(1, "a", col("ssn", "drop")), policed(2, "b", col("number", "zip3"))},
			[2]*cdc.Table{policed(2, "a", col("note", "drop")), policed(1, "b", col("number", "zip3"))}, "public.b",
		},
		"columns": {
			[2]*cdc.Table{policed(1, "a", col("ssn", "drop"), col("zip", "zip3")), policed(2, "b")},
			[2]*cdc.Table{policed(1, "a", col("zip", "zip3"), col("ssn", "drop")), policed(2, "b")}, "public.a",
		},
		"columns, by a policy for all": {
			[2]*cdc.Table{policed(1, "a", col("ssn", "drop"), col("zip", "")), policed(2, "b")},
			[2]*cdc.Table{policed(1, "a", col("zip", ""), col("ssn", "drop")), policed(2, "b")}, "public.a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.tables.list = c.before[:]
				run := func() (of map[string]TableStatus) {
					stop := r.start(t)
					r.streaming(t)
					of = map[string]TableStatus{}
					for _, table := range r.capture.Status().Tables {
						of[table.Table] = table
					}
					require.NoError(t, stop())
					return of
				}
				require.Equal(t, cdc.TableStreaming, run()[c.bare].Phase)
				for i, now := range c.after {
					if now.Shape = "swapped"; now.OID == c.before[i].OID && len(now.Columns) == 1 {
						now.Shape = "s"
					}
				}
				r.tables.list = c.after[:]
				var told *cdc.State
				r.options.Listed = func(_ []*cdc.Table, state *cdc.State) { told = state }
				r.server.idle(1)
				now := run()
				require.Equal(t, cdc.TableQuarantined, now[c.bare].Phase)
				leave := fmt.Sprintf("if it may leave, add %q to source.tables, restart capture, and take that out again", "!"+c.bare)
				requireReason(t, now[c.bare].Reason, leave)
				for _, table := range c.after {
					require.Equal(t, table.FullName() == c.bare, Exposed(table, told) != nil, table.FullName())
					if err := r.resnapshot(t, table.FullName()); table.FullName() != c.bare {
						require.NoError(t, err)
					}
				}
				for range 2 { // the other has been copied under the name, and what was known is known still
					for _, err := range []error{r.resnapshot(t, c.bare), r.resnapshotAll(t, cdc.HighWater{})} {
						require.ErrorIs(t, err, cdc.ErrRefused)
						require.Equal(t, leave, cdc.Explain(err).Remedies()[1].Command)
					}
					require.Equal(t, cdc.TableQuarantined, run()[c.bare].Phase)
				}

				r.tables.list = c.before[:]
				require.NoError(t, r.resnapshot(t, "public.a", "public.b"), "the first way")
				require.Equal(t, cdc.TableStreaming, run()[c.bare].Phase)
				r.tables.list = c.after[:]
				require.Equal(t, cdc.TableQuarantined, run()[c.bare].Phase)

				kept := func(table *cdc.Table) bool { return table.FullName() == c.bare }
				r.tables.unselected, r.tables.called = []uint32{1}, map[uint32]string{1: c.bare}
				r.tables.list = slices.DeleteFunc(slices.Clone(c.after[:]), kept)
				require.NotContains(t, run(), c.bare)
				r.tables.unselected, r.tables.list = nil, c.after[:]
				require.Equal(t, cdc.TableStreaming, run()[c.bare].Phase)
				require.NoError(t, r.resnapshot(t, c.bare), "nothing is asked again")
			})
		})
	}
}

// TestLostNameIsNoDecision: a table that is away under a third name, or whose place was free for a while, has not been
// left out by a person.
func TestLostNameIsNoDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		ssn := cdc.Column{Name: "ssn", Policy: "drop"}
		open := cdc.Column{Name: "ssn"}
		run := func(tables ...*cdc.Table) TableStatus {
			r.tables.list = tables
			stop := r.start(t)
			r.streaming(t)
			defer func() { require.NoError(t, stop()) }()
			return find(t, r.capture.Status().Tables, tables[0].FullName())
		}
		require.Equal(t, cdc.TableStreaming, run(policed(2, "b", open), policed(1, "a", ssn)).Phase)
		r.tables.unselected, r.tables.called = []uint32{1}, map[uint32]string{1: "public.away"}
		a := policed(3, "a", ssn)
		run(a) // b was dropped
		require.NoError(t, r.resnapshot(t, "public.a"))
		run(a)
		r.tables.unselected = nil
		require.EqualValues(t, tableSkipped, run(policed(1, "b", open), a).Phase)
		c := policed(1, "c", open)
		c.Unnamed = true
		require.EqualValues(t, tableSkipped, run(c, a).Phase)
	})
}
