package capture

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestTransitions: every phase with every event; what is not in the table is an error and changes nothing.
func TestTransitions(t *testing.T) {
	const none = cdc.TablePhase("none")
	phases := []cdc.TablePhase{tableNew, cdc.TableCopying, cdc.TableStreaming, cdc.TableQuarantined, cdc.TableExcluded}
	for event, want := range map[tableEvent][]cdc.TablePhase{
		//                  new                 copying            streaming             quarantined           excluded
		generationOpened:  {cdc.TableCopying, cdc.TableCopying, none, none, cdc.TableCopying},
		copyEnded:         {none, cdc.TableStreaming, none, none, none},
		copyNeeded:        {none, cdc.TableCopying, cdc.TableCopying, cdc.TableCopying, none},
		tableRefused:      {cdc.TableQuarantined, cdc.TableQuarantined, cdc.TableQuarantined, cdc.TableQuarantined, cdc.TableQuarantined},
		tableDeselected:   {cdc.TableExcluded, cdc.TableExcluded, cdc.TableExcluded, cdc.TableExcluded, cdc.TableExcluded},
		pipelineRestarted: {tableNew, tableNew, tableNew, tableNew, tableNew},
		"something else":  {none, none, none, none, none},
	} {
		for i, from := range phases {
			tb := &table{listed: newTable(1, "a"), state: cdc.TableState{Phase: from}}
			err := tb.on(event)
			if want[i] == none {
				require.Error(t, err, "%q: %s", from, event)
				require.Equal(t, from, tb.state.Phase)
				continue
			}
			require.NoError(t, err, "%q: %s", from, event)
			require.Equal(t, want[i], tb.state.Phase, "%q: %s", from, event)
		}
	}
}

// TestALifeOfATable: what its state holds after each event.
func TestALifeOfATable(t *testing.T) {
	tb := &table{listed: newTable(1, "a")}
	require.Error(t, tb.ended(1, cdc.Position{}), "it was never opened")
	require.NoError(t, tb.open())
	require.Equal(t, cdc.TableState{
		Format: cdc.StateFormat, Schema: "public", Table: "a", OID: 1, Topic: "p.public.a", Phase: cdc.TableCopying, Generation: 1,
		KeyPrint: "k", PolicyPrint: "p", Shape: "s", Cleanup: cdc.CleanupDelete,
	}, tb.state)
	require.True(t, tb.copyDue())
	require.NoError(t, tb.ended(7, cdc.Position{Epoch: 1, CommitLSN: 1000}))
	require.EqualValues(t, 7, tb.state.Rows)
	require.Equal(t, "0000000100000000000003e800000000", tb.state.Cut)
	require.False(t, tb.copyDue())
	require.Error(t, tb.open(), "it needs a reason")

	tb.listed.OID = 11 // made again: the state is still that of what was copied
	require.NoError(t, tb.quarantine(cdc.Refused("no key").At("here").Fix("add one")))
	require.EqualValues(t, 1, tb.state.OID)
	require.Equal(t, cdc.Failed("here: no key").Fix("add one"), cdc.ParseProblem(tb.state.Reason), "a reason has no kind")
	require.NoError(t, tb.on(copyNeeded))
	require.NoError(t, tb.open())
	require.EqualValues(t, 11, tb.state.OID)
	require.EqualValues(t, 2, tb.state.Generation)
	require.Empty(t, tb.state.Reason)

	excluded, err := deselect(tb.state)
	require.NoError(t, err)
	require.Equal(t, cdc.TableExcluded, excluded.Phase)
	require.EqualValues(t, 2, excluded.Generation)
	require.NoError(t, tb.restart())
	require.Equal(t, cdc.TableState{Generation: 2}, tb.state)
	require.NoError(t, tb.quarantine(errRegistry))
	require.Equal(t, "p.public.a", tb.state.Topic, "a table that was never begun is described, so that people see which it is")
	require.EqualValues(t, 2, tb.state.Generation)
}

// TestPlannedTables: what a stored state and the catalog make of a table, in a later start.
func TestPlannedTables(t *testing.T) {
	for _, test := range []struct {
		name    string
		phase   cdc.TablePhase
		change  func(t *cdc.Table)
		request *resnapshotRequest
		started bool
		want    cdc.TablePhase
		is      error
	}{
		{name: "new", phase: tableNew, want: tableNew},
		{name: "named again", phase: cdc.TableExcluded, change: func(t *cdc.Table) { t.PolicyPrint = "x" }, want: cdc.TableExcluded},
		{name: "as it was", phase: cdc.TableStreaming, want: cdc.TableStreaming},
		{name: "quarantined", phase: cdc.TableQuarantined, want: cdc.TableQuarantined},
		{name: "asked for", phase: cdc.TableQuarantined, request: &resnapshotRequest{tables: []string{"public.a"}}, want: cdc.TableCopying},
		{name: "another asked for", phase: cdc.TableStreaming, request: &resnapshotRequest{tables: []string{"public.b"}}, want: cdc.TableStreaming},
		{name: "new columns", phase: cdc.TableStreaming, change: func(t *cdc.Table) { t.Shape = "x" }, want: cdc.TableQuarantined},
		{name: "new columns in a copy", phase: cdc.TableCopying, change: func(t *cdc.Table) { t.Shape = "x" }, want: cdc.TableCopying},
		{name: "a new policy", phase: cdc.TableCopying, change: func(t *cdc.Table) { t.PolicyPrint = "x" }, want: cdc.TableCopying, is: cdc.ErrRefused},
		{name: "a new topic", phase: cdc.TableStreaming, change: func(t *cdc.Table) { t.Topic = &cdc.Topic{Name: "x"} }, want: cdc.TableStreaming, is: cdc.ErrRefused},
		{name: "no key", phase: cdc.TableStreaming, change: func(t *cdc.Table) { t.Refused = errKeyless }, want: cdc.TableQuarantined},
		{name: "a misfit", phase: cdc.TableStreaming, change: func(t *cdc.Table) { t.Refused, t.RefusedByConfig = errKeyless, true }, want: cdc.TableStreaming, is: cdc.ErrRefused},
		{name: "a misfit later", phase: cdc.TableStreaming, change: func(t *cdc.Table) { t.Refused, t.RefusedByConfig = errKeyless, true }, started: true, want: cdc.TableQuarantined},
	} {
		t.Run(test.name, func(t *testing.T) {
			tb := &table{listed: newTable(1, "a")}
			tb.describe(1)
			if tb.state.Phase = test.phase; test.phase == cdc.TableQuarantined {
				tb.state.Reason = "because"
			}
			before := tb.state.Reason
			if test.change != nil {
				test.change(tb.listed)
			}
			p := &planner{request: test.request, started: test.started}
			require.ErrorIs(t, errors.Join(p.planTable(resume, tb, &cdc.State{Tables: map[string]cdc.TableState{tb.name(): tb.state}}), p.otherPolicies([]*table{tb})), test.is)
			require.Equal(t, test.want, tb.state.Phase)
			require.Equal(t, test.want == cdc.TableQuarantined && before == "", tb.state.Reason != before)
		})
	}
}
