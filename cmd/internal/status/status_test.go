package status

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
	"dirtbike/sinks/clickhouse/ledger"
)

func sample() Status {
	lag, seconds, retained := int64(4096), 1.25, int64(16<<20)
	s := Status{
		Phase: "streaming", LagBytes: &lag, LagSeconds: &seconds, RetainedWALBytes: &retained,
		Tables: []TableStatus{
			{Table: "public.claims", Phase: "streaming", Rows: 1234567, Exact: true},
			because("public.visits", "quarantined", cdc.ParseProblem("load: column note: malformed value")),
		},
	}
	s.Tables[1].Rows, s.Tables[1].DeadLetters = 12, 3
	return s
}

// plain gives the tables as their JSON form has them.
func plain(tables []TableStatus) []TableStatus {
	out := slices.Clone(tables)
	for i := range out {
		out[i].problems, out[i].refused = nil, 0
	}
	return out
}

const sampleJSON = `{
  "phase": "streaming",
  "lag_bytes": 4096,
  "lag_seconds": 1.25,
  "retained_wal_bytes": 16777216,
  "wal_limit": "",
  "wal_left_bytes": null,
  "wal_left_hours": null,
  "tables": [
    {
      "table": "public.claims",
      "phase": "streaming",
      "rows": 1234567,
      "exact": true,
      "dead_letters": 0,
      "reason": ""
    },
    {
      "table": "public.visits",
      "phase": "quarantined",
      "rows": 12,
      "exact": false,
      "dead_letters": 3,
      "reason": "load: column note: malformed value"
    }
  ]
}
`

const sampleText = `phase streaming · ClickHouse is 4.0 KiB, 1.2 s behind · Postgres keeps 16 MiB of log for the slot
┌───────────────┬─────────────┬───────────┬───────┬──────────────┬────────────────────────────────────┐
│ TABLE         │ PHASE       │ ROWS      │ EXACT │ DEAD LETTERS │ NOTE                               │
├───────────────┼─────────────┼───────────┼───────┼──────────────┼────────────────────────────────────┤
│ public.claims │ streaming   │ 1,234,567 │ yes   │            0 │                                    │
│ public.visits │ quarantined │        12 │ no    │            3 │ load: column note: malformed value │
└───────────────┴─────────────┴───────────┴───────┴──────────────┴────────────────────────────────────┘
see dirtbike explain tables, dirtbike explain exact
`

func TestStatusGoldens(t *testing.T) {
	var json, text strings.Builder
	require.NoError(t, console.WriteJSON(&json, sample()))
	require.Equal(t, sampleJSON, json.String())
	require.NoError(t, sample().WriteText(&text))
	require.Equal(t, sampleText, text.String())
}

func TestStatusBeforeAnythingGolden(t *testing.T) {
	var json, text strings.Builder
	s := assemble(facts{}, capture.Status{})
	require.NoError(t, console.WriteJSON(&json, s))
	require.Equal(t, `{
  "phase": "none",
  "lag_bytes": null,
  "lag_seconds": null,
  "retained_wal_bytes": null,
  "wal_limit": "",
  "wal_left_bytes": null,
  "wal_left_hours": null,
  "tables": []
}
`, json.String())
	require.NoError(t, s.WriteText(&text))
	require.Equal(t, "phase none · ClickHouse is not complete up to anything yet · there is no slot\n", text.String())
	s.LagBytes, s.LagSeconds = new(int64), new(float64)
	*s.LagSeconds = 3725
	text.Reset()
	require.NoError(t, s.WriteText(&text))
	require.Contains(t, text.String(), "1h2m5s")
}

func TestAssemble(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	f := facts{
		slot: slotFacts{at: now, current: 5000, found: true, retained: 900},
		complete: map[string]ledger.Complete{
			"": {LSN: 4000, CommitTime: now.Add(-2 * time.Second)}, "public.a": {Exact: true}, "public.b": {}, "public.c": {DeadLetters: 2},
		},
		reasons:  map[string][]*cdc.Problem{"public.c": {cdc.ParseProblem("load: broken")}},
		excluded: map[string][]*cdc.Problem{"public.left": {cdc.ParseProblem("capture: no longer named")}, "public.never": {cdc.ParseProblem("it was never copied")}},
		shown:    map[string]uint32{"a": 2, "c": 1, "left": 1},
		stored: map[string][]ledger.Storage{
			"a": {{Generation: 3, Rows: 9}, {Generation: 2, Rows: 7}}, "b": {{Rows: 1}}, "d": {{Rows: 2}}, "left": {{Generation: 1, Rows: 3}},
		},
	}
	s := assemble(f, capture.Status{})
	require.Equal(t, "copying", s.Phase)
	require.EqualValues(t, 1000, *s.LagBytes)
	require.InDelta(t, 2, *s.LagSeconds, 1e-9)
	require.EqualValues(t, 900, *s.RetainedWALBytes)
	require.Equal(t, []TableStatus{
		{Table: "public.a", Phase: "streaming", Rows: 7, Exact: true, RowsEstimated: true},
		{Table: "public.b", Phase: "copying", Rows: 1, RowsEstimated: true},
		{Table: "public.c", Phase: "quarantined", DeadLetters: 2, RowsEstimated: true, Reason: "load: broken"},
		{Table: "public.left", Phase: "excluded", Rows: 3, RowsEstimated: true, Reason: "capture: no longer named"},
	}, plain(s.Tables))
	require.Equal(t, "~7", s.Tables[0].rowsText())

	f.notices = []ledger.Notice{
		{Kind: ledger.NoticeTaken, Name: ledger.CompleteName, Reason: "it is a table. Try: RENAME TABLE it"},
		{Kind: ledger.NoticeForeign, Name: "p.public.a", Reason: "it was written outside of a transaction", Records: 3},
		{Kind: ledger.NoticeView, Name: "public.a", Reason: "create the view: x"}, {Kind: ledger.NoticeWaits, Name: "public.b", Reason: "insert: read-only. Try: this"},
	}
	s = assemble(f, capture.Status{})
	require.Equal(t, []PassedOver{{Topic: "p.public.a", Records: 3, Reason: "it was written outside of a transaction"}}, s.PassedOver)
	require.NotNil(t, s.foreign())
	require.Equal(t, "it is a table. Try: RENAME TABLE it", s.Taken)
	require.Equal(t, []bool{true, true, false, false}, []bool{s.Tables[0].Waits, s.Tables[1].Waits, s.Tables[2].Waits, s.Tables[3].Waits})
	require.Equal(t, "load: the table waits: insert: read-only. Try: this", s.Tables[1].Reason)
	require.Contains(t, s.tablesProblem().What, "2 of 4 tables wait: public.a (")
	f.notices = nil
	require.Nil(t, assemble(f, capture.Status{}).foreign())

	capture := capture.Status{Phase: cdc.PhaseCopying, Tables: []capture.TableStatus{
		{Table: "public.b", Phase: cdc.TableStreaming, Rows: 5}, {Table: "public.old", Phase: cdc.TableExcluded},
		{Table: "public.d", Phase: cdc.TableQuarantined, Reason: "dropped"},
	}}
	s = assemble(f, capture)
	require.Equal(t, []TableStatus{
		{Table: "public.a", Phase: "streaming", Rows: 7, Exact: true, RowsEstimated: true},
		{Table: "public.b", Phase: "copying", Rows: 1, RowsEstimated: true},
		{Table: "public.c", Phase: "quarantined", DeadLetters: 2, RowsEstimated: true, Reason: "load: broken"},
		{Table: "public.d", Phase: "quarantined", Rows: 2, RowsEstimated: true, Reason: "dropped"},
		{Table: "public.left", Phase: "excluded", Rows: 3, RowsEstimated: true, Reason: "capture: no longer named"},
	}, plain(s.Tables), "capture has sent all of b, ClickHouse does not show it yet")
	require.Equal(t, "copying", s.Phase)
	capture.Phase = cdc.PhaseStreaming
	require.Equal(t, "copying", assemble(f, capture).Phase, "b is still being loaded")
	f.shown["b"] = 1
	require.Equal(t, "streaming", assemble(f, capture).Phase)

	f.slot.current = 4000
	require.Zero(t, *assemble(f, capture).LagSeconds, "no lag, no age")
}

func TestCaptureHealth(t *testing.T) {
	require.NoError(t, captureHealth(capture.Status{Healthy: true}))
	try := func(s capture.Status) []cdc.Remedy { return cdc.Explain(captureHealth(s)).Try }
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike wait"}}, try(capture.Status{}))
	starting := capture.Status{Progress: "preparing topics and schemas: 37 of 200 tables"}
	require.Contains(t, cdc.Explain(captureHealth(starting)).What, starting.Progress)
	waits := capture.Status{Healthy: true, Phase: cdc.PhaseCopying, Waiting: "process 7. Try: end it"}
	require.Equal(t, []cdc.Remedy{{Command: "end it"}}, try(waits))
	require.Equal(t, []cdc.Remedy{{Command: "fix what it names; capture goes on by itself"}}, try(capture.Status{LastError: "no broker"}))
	require.NoError(t, captureHealth(capture.Status{LastError: "no broker", Healthy: true}), "it has gone on")
	require.Equal(t, []cdc.Remedy{{Command: "this"}}, try(capture.Status{LastError: "bad. Try: this"}))
}

// TestACaptureThatRunsIsNotToBeStarted: whatever it does, the status never says to run one, and says how far it is.
func TestACaptureThatRunsIsNotToBeStarted(t *testing.T) {
	named := []Named{{Table: "public.a"}, {Table: "public.b"}, {Table: "public.c"}}
	waits := cdc.Failed("process 7").Fix("end it")
	for name, test := range map[string]struct {
		facts    facts
		progress string
		problem  *cdc.Problem
	}{
		"before its slot": {facts{slot: slotFacts{connected: true}, named: named, topics: 2}, "starting: topics of 2 of 3 tables", nil},
		"copying": {facts{slot: slotFacts{connected: true, found: true}, named: named, shown: map[string]uint32{"a": 1, "x": 1}},
			"copying: 1 of 3 tables in ClickHouse", nil},
		"waiting": {facts{slot: slotFacts{connected: true, waits: waits}, named: named}, "starting: topics of 0 of 3 tables", waits},
		"between two sessions": {facts{slot: slotFacts{connected: true, found: true}, complete: map[string]ledger.Complete{"": {LSN: 1}, "public.a": {Exact: true}},
			shown: map[string]uint32{"a": 1}}, "", nil},
	} {
		s := assemble(test.facts, capture.Status{})
		require.Equal(t, test.progress, s.Progress, name)
		if test.problem != nil {
			require.Equal(t, test.problem, s.capture, name)
			require.Equal(t, test.problem.Error(), s.Waits, name)
		}
		var text strings.Builder
		require.NoError(t, s.WriteText(&text))
		require.Contains(t, text.String(), test.progress, name)
		require.Contains(t, text.String(), s.Waits, name)
		problems := s.Problems()
		if p := test.facts.slot.judge("slot", forecast{}); p != nil {
			problems = append(problems, p)
		}
		require.NotEmpty(t, problems, name)
		for _, p := range problems {
			require.NotContains(t, p.Error(), "dirtbike run", name)
			require.NotContains(t, p.Error(), "dirtbike capture", name)
		}
	}
	idle := assemble(facts{}, capture.Status{})
	require.Equal(t, "dirtbike run, then dirtbike wait", idle.Problems()[0].Try[0].Command, "where none runs")
}

// TestNobodyStartsASecondCapture goes over all that can be known of a slot, of ClickHouse and of Kafka: while a capture
// streams or is connected nothing says to start one, and where it is said none is.
func TestNobodyStartsASecondCapture(t *testing.T) {
	said := 0
	for i := range 1 << 7 {
		is := func(bit int) bool { return i>>bit&1 == 1 }
		f := facts{slot: slotFacts{name: "s", found: is(0), active: is(0) && is(1), connected: is(2), walStatus: "reserved", retained: 1 << 20}, named: []Named{{Table: "public.a"}}}
		if is(3) {
			f.complete = map[string]ledger.Complete{"": {LSN: 1}, "public.a": {Exact: is(4)}}
		}
		if is(5) {
			f.shown = map[string]uint32{"a": 1}
		}
		sources := Sources{}
		if is(6) {
			sources.Kafka = func(context.Context) error { return errors.New("EOF") }
		}
		s, err := NewCollector(sources).withKafka(t.Context(), func(context.Context) (Status, error) { return assemble(f, capture.Status{}), nil })
		require.NoError(t, err)
		var text strings.Builder
		require.NoError(t, s.WriteText(&text))
		for _, p := range append(s.Problems(), f.slot.judge("s", forecast{})) {
			if p != nil {
				text.WriteString("\n" + p.Error())
			}
		}
		start := strings.Contains(text.String(), "dirtbike run") || strings.Contains(text.String(), "dirtbike capture")
		require.False(t, start && (f.slot.active || f.slot.connected), "%+v:\n%s", f, &text)
		if start {
			said++
		}
	}
	require.NotZero(t, said)
}

// TestWaitingIsNotAdvisedInVain: a table that is quarantined or new does not become exact by waiting.
func TestWaitingIsNotAdvisedInVain(t *testing.T) {
	exact, copying := TableStatus{Phase: "streaming", Exact: true}, TableStatus{Phase: "copying"}
	stuck, fresh := TableStatus{Phase: "quarantined"}, TableStatus{Phase: "new"}
	for _, c := range []struct {
		tables    []TableStatus
		what, try string
	}{
		{[]TableStatus{exact, {Phase: "excluded"}}, "", ""},
		{[]TableStatus{exact, copying}, "1 of 2 tables is not exact", "dirtbike wait"},
		{[]TableStatus{exact, stuck}, "1 of 2 tables is not exact", "do what NOTE says"},
		{[]TableStatus{exact, fresh, stuck}, "2 of 3 tables are not exact", "do what NOTE says"},
		{[]TableStatus{copying, stuck}, "2 of 2 tables are not exact", "dirtbike wait, and do what NOTE says"},
	} {
		problems := Status{Tables: c.tables}.Problems()
		if c.what == "" {
			require.Empty(t, problems)
			continue
		}
		require.Equal(t, []*cdc.Problem{{What: c.what, Try: []cdc.Remedy{{Command: c.try}}}}, problems)
	}
	require.Len(t, Status{}.Problems(), 1, "there is no table")
}
