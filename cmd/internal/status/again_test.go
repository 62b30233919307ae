package status

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/sinks/clickhouse/ledger"
)

// refused are what ClickHouse says of tables that both halves have quarantined up to generation 3.
func refused(tables ...string) (f facts) {
	var all []ledger.Quarantine
	for _, name := range tables {
		all = append(all,
			ledger.Quarantine{Table: name, Leg: ledger.LegCapture, Reason: "no key. Try: this", State: ledger.StateSkipping, Generation: 2},
			ledger.Quarantine{Table: name, Leg: ledger.LegLoad, Reason: "malformed. Try: that", State: ledger.StateSkipping, Generation: 3})
	}
	f.complete = map[string]ledger.Complete{"": {LSN: 1}}
	f.addReasons(all)
	return f
}

// TestNextCopyOfAQuarantinedTable: what refuses it is shown, and that it is made.
func TestNextCopyOfAQuarantinedTable(t *testing.T) {
	stored := map[string]cdc.TableState{
		"public.copied": {Phase: cdc.TableStreaming, Generation: 4}, "public.copying": {Phase: cdc.TableCopying, Generation: 4},
		"public.old": {Phase: cdc.TableStreaming, Generation: 3}, "public.again": {Phase: cdc.TableQuarantined, Generation: 4},
		"public.unread": {Phase: cdc.TableQuarantined, Generation: 3}, "public.said": {Phase: cdc.TableQuarantined, Generation: 3},
	}
	unread := cdc.Failed("clerk may not read it").Fix("GRANT SELECT ON TABLE public.unread TO clerk")
	obstacles := map[string]*cdc.Problem{"public.unread": unread, "public.said": cdc.Failed("no key").Fix("another"), "public.copied": unread}
	c := NewCollector(Sources{
		State:     func(context.Context) (*cdc.State, error) { return &cdc.State{Tables: stored}, nil },
		Obstacles: func(context.Context) (map[string]*cdc.Problem, error) { return obstacles, nil },
	})
	var names []string
	for name := range stored {
		names = append(names, name)
	}
	s := c.explained(t.Context(), assemble(refused(append(names, "public.unknown")...), capture.Status{}))
	require.Len(t, s.Tables, 7)
	for _, table := range s.Tables {
		require.Equal(t, table.Table == "public.copied" || table.Table == "public.copying", table.Copied, table.Table)
		require.NotEqual(t, table.Copied, table.Stuck(), table.Table)
		switch last := table.problems[len(table.problems)-1]; {
		case table.Copied:
			require.Len(t, table.problems, 3, "what it was quarantined for is still said")
			require.Equal(t, cdc.Remedy{Command: "dirtbike wait"}, table.problems[0].Try[0])
			require.Empty(t, table.problems[1].Remedies(), "and no longer what to do about it")
			require.Empty(t, last.Remedies())
		case table.Table == "public.unread":
			require.Len(t, table.problems, 3)
			require.Equal(t, unread.Try, last.Remedies())
			require.ErrorIs(t, last, unread)
		default:
			require.Len(t, table.problems, 2, table.Table)
		}
	}
}

// TestNextCopyIsNotKnown: without Kafka the reason stays, and nothing is asked while no table is quarantined.
func TestNextCopyIsNotKnown(t *testing.T) {
	asked := 0
	c := NewCollector(Sources{State: func(context.Context) (*cdc.State, error) { asked++; return nil, errors.New("away") }})
	c.explained(t.Context(), Status{Tables: []TableStatus{{Table: "public.a", Phase: "streaming"}}})
	require.Zero(t, asked)
	s := c.explained(t.Context(), assemble(refused("public.a"), capture.Status{}))
	require.Equal(t, 1, asked)
	require.True(t, s.Tables[0].Stuck())
	require.Len(t, s.Tables[0].problems, 2)
}

// TestTablesWithoutClickHouse are those that the capture of this process knows, or else those that it has stored.
func TestTablesWithoutClickHouse(t *testing.T) {
	tables := map[string]cdc.TableState{
		"public.b": {Phase: cdc.TableStreaming, Rows: 5}, "public.gone": {Phase: cdc.TableExcluded},
		"public.a": {Phase: cdc.TableQuarantined, Reason: "no key. Try: this"},
	}
	away := facts{clickHouse: errors.New("gone")}
	for name, sources := range map[string]Sources{
		"stored": {State: func(context.Context) (*cdc.State, error) { return &cdc.State{Tables: tables}, nil }},
		"of this process": {Capture: func() capture.Status {
			return capture.Status{Progress: "copying", Tables: []capture.TableStatus{
				{Table: "public.a", Phase: cdc.TableQuarantined, Reason: "no key. Try: this"}, {Table: "public.b", Phase: cdc.TableStreaming, Rows: 5},
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewCollector(sources).partial(t.Context(), away)
			require.Len(t, s.Tables, 2)
			require.Equal(t, "public.a", s.Tables[0].Table)
			require.Equal(t, "quarantined", s.Tables[0].Phase)
			require.Equal(t, []cdc.Remedy{{Command: "this"}}, s.Tables[0].problems[0].Try)
			require.EqualValues(t, 5, s.Tables[1].Rows)
			require.Contains(t, s.rendered(false), "│ not known │", "whether it is exact")
			require.NotContains(t, s.rendered(false), "│ no ")
		})
	}
}
