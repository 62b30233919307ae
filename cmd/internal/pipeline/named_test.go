package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"
)

// TestUncaptured: a wait reports every new table that waiting does not fix, also where the publication has whole
// schemas, so that it has the table, too; and of none that a capture has taken on, or one that starts may yet take on.
func TestUncaptured(t *testing.T) {
	ctx, stack, exec := postgresAlone(t)
	exec("CREATE TABLE good (id int PRIMARY KEY)", "CREATE TABLE left_out (code text PRIMARY KEY)", "CREATE TABLE keyless (id int)",
		"CREATE TABLE back (id int PRIMARY KEY)", "CREATE PUBLICATION dirtbike FOR TABLES IN SCHEMA public")
	c, err := config.Parse("a.yaml", fmt.Appendf(nil, `source: {url: %q, tables: ["public.*"]}
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
privacy: {mode: allowlist, columns: {public.good: {"*": keep}, public.back: {"*": keep}, public.keyless: {"*": keep}}}
`, stack.Postgres.URL()))
	require.NoError(t, err)
	state := &cdc.State{Source: cdc.SourceState{Phase: cdc.PhaseStreaming}, Tables: map[string]cdc.TableState{
		"public.good": {Phase: cdc.TableStreaming}, "public.back": {Phase: cdc.TableExcluded},
	}}
	read := func() named {
		n, err := readNamed(ctx, c, func(context.Context) (*cdc.State, error) { return state, nil })
		require.NoError(t, err)
		return n
	}
	require.Empty(t, read().uncaptured, "no capture streams: one that starts may capture them")
	exec("SELECT pg_create_logical_replication_slot('dirtbike', 'pgoutput', true)") // it is active as long as this session lasts
	n := read()
	require.Equal(t, []string{"public.back", "public.keyless", "public.left_out"}, n.uncaptured)
	var tables []string // one line each, with its way out
	for line := range strings.Lines(n.uncapturedError().Error()) {
		tables = append(tables, strings.Fields(line)[2])
		require.NotEmpty(t, cdc.ParseProblem(line).Try, line)
	}
	require.Equal(t, []string{"public.keyless", "public.left_out", "public.back"}, tables)

	for phase, tables := range map[cdc.Phase]map[string]cdc.TableState{cdc.PhaseCopying: {}, cdc.PhaseStreaming: {"public.good": {}, "public.back": {}, "public.keyless": {}, "public.left_out": {}}} {
		state.Source.Phase, state.Tables = phase, tables
		require.Empty(t, read().uncaptured)
		require.NoError(t, read().uncapturedError())
	}
	exec("CREATE TABLE again (id int PRIMARY KEY)", "DROP PUBLICATION dirtbike", "CREATE PUBLICATION dirtbike FOR TABLE good, keyless, left_out, back")
	require.Equal(t, []string{"public.again"}, read().uncaptured)
	state.Tables["public.again"] = cdc.TableState{Phase: cdc.TableQuarantined, OID: 1}
	require.Empty(t, read().uncaptured, "a restart would not help it")
	state = nil
	require.Equal(t, []string{"public.again"}, read().uncaptured, "without a state, or the right to read it, only the publication tells")
}

// TestUncapturedErrorNamesAll: those that a restart alone fixes are in one line.
func TestUncapturedErrorNamesAll(t *testing.T) {
	n := named{uncaptured: []string{"a.a", "a.b", "a.c"}, why: map[string]*cdc.Problem{"a.b": cdc.Failed("it has no primary key").Fix("add one")}}
	problems := n.uncapturedError().(interface{ Unwrap() []error }).Unwrap()
	require.Len(t, problems, 2)
	require.Equal(t, &cdc.Problem{What: "new table a.b is not captured: it has no primary key", Try: []cdc.Remedy{{Command: "add one; then restart capture"}}}, cdc.Explain(problems[0]))
	require.Equal(t, cdc.Failed("new tables a.a, a.c are not captured").Fix("restart capture to copy them"), problems[1])
}

// TestTablesByTheirFullNames: another name is refused, and the full one of a table that is captured is chosen.
func TestTablesByTheirFullNames(t *testing.T) {
	n := named{relations: []*schemas.Relation{{Schema: "public", Name: "patients"}}}
	_, _, err := n.choose([]string{"patients"})
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "the full name, schema.table, of a table that source.tables names"}}, cdc.Explain(err).Try)
	chosen, refused, err := n.choose([]string{"public.patients"})
	require.NoError(t, err)
	require.Len(t, chosen, 1)
	require.Empty(t, refused)
}
