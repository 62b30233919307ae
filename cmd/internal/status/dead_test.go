package status

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/sinks/clickhouse/ledger"
)

// TestStatusSaysWhereItIsExplained: one line, of what is not as it should be.
func TestStatusSaysWhereItIsExplained(t *testing.T) {
	for want, s := range map[string]Status{
		"":                             {Tables: []TableStatus{{Table: "a.b", Phase: "streaming", Exact: true}}},
		"see dirtbike explain exact\n": {Tables: []TableStatus{{Table: "a.b", Phase: "copying"}}},
		"see dirtbike explain tables, dirtbike explain exact\n": {Tables: []TableStatus{{Table: "a.b", Phase: "quarantined"}}},
		"see dirtbike explain kafka\n":                          {Kafka: "Kafka does not answer", Tables: []TableStatus{{Table: "a.b", Phase: "streaming", Exact: true}}},
		"see dirtbike explain slot\n":                           {dead: "slot s is gone", Tables: []TableStatus{{Table: "a.b", Phase: "streaming", Exact: true}}},
	} {
		var text strings.Builder
		require.NoError(t, s.WriteText(&text))
		at := strings.LastIndex(strings.TrimSuffix(text.String(), "\n"), "\n") + 1
		last := text.String()[at:]
		if want == "" {
			require.NotContains(t, last, "see ")
			continue
		}
		require.Equal(t, want, last)
	}
}

func headline(t *testing.T, s Status) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, s.WriteText(&text))
	line, _, _ := strings.Cut(text.String(), "\n")
	return line
}

// TestADeadPipelineSaysSo: all tables are exact as of a point that nothing moves on any more.
func TestADeadPipelineSaysSo(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	base := func() facts {
		return facts{
			slot:     slotFacts{name: "s", at: now, current: 0x2000, found: true, active: true, walStatus: "reserved", retained: 1 << 20},
			complete: map[string]ledger.Complete{"": {LSN: 0x1000, CommitTime: now.Add(-time.Minute)}, "public.a": {Exact: true}},
			counted:  map[string]counts{"a": {rows: 7}},
		}
	}
	for name, c := range map[string]struct {
		change     func(*facts)
		line, says string
	}{
		"alive":    {func(*facts) {}, "phase streaming · ClickHouse is 4.0 KiB, 1m0s behind · Postgres keeps 1.0 MiB of log for the slot", ""},
		"gone":     {func(f *facts) { f.slot = slotFacts{name: "s", at: now, current: 0x2000} }, "slot s is gone: changes since 0/1000 cannot be read · ClickHouse is 4.0 KiB, 1m0s behind", "slot s is gone: changes since 0/1000 cannot be read. Try: " + cdc.ResnapshotAllCommand},
		"lost":     {func(f *facts) { f.slot.active, f.slot.walStatus = false, "lost" }, "slot s was invalidated by Postgres: changes since 0/1000 cannot be read · ClickHouse is 4.0 KiB, 1m0s behind", "Try: raise max_slot_wal_keep_size, then " + cdc.ResnapshotAllCommand},
		"inactive": {func(f *facts) { f.slot.active = false }, "no capture is running (slot s is inactive, Postgres keeps 1.0 MiB of log for it) · ClickHouse is 4.0 KiB, 1m0s behind", "Try: dirtbike run, or dirtbike capture"},
		"since":    {func(f *facts) { f.slot.active, f.slot.since = false, now }, "no capture is running (slot s is inactive since 2026-05-01T10:00:00Z, Postgres keeps 1.0 MiB of log for it) · ClickHouse is 4.0 KiB, 1m0s behind", "no capture is running"},
		"connected": {func(f *facts) { f.slot.active, f.slot.connected, f.slot.since = false, true, now }, "a capture is connected to Postgres and does not stream (slot s is inactive since 2026-05-01T10:00:00Z, Postgres keeps 1.0 MiB of log for it) · ClickHouse is 4.0 KiB, 1m0s behind",
			"for it). Try: see its log, which says what keeps it, and Kafka's brokers"},
		"copying": {func(f *facts) { f.slot.active, f.counted = false, nil }, "phase copying · ClickHouse is 4.0 KiB, 1m0s behind · Postgres keeps 1.0 MiB of log for the slot", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := base()
			c.change(&f)
			s := assemble(f, capture.Status{})
			require.Equal(t, c.line, headline(t, s))
			if c.says == "" {
				require.NoError(t, s.Dead())
				return
			}
			require.ErrorContains(t, s.Dead(), c.says)
		})
	}
}

func TestUncapturedTables(t *testing.T) {
	f := facts{
		slot:     slotFacts{found: true, active: true},
		complete: map[string]ledger.Complete{"": {LSN: 1}, "public.b": {Exact: true}},
		counted:  map[string]counts{"b": {rows: 1}},
		named:    []Named{{"public.a", false}, {"public.b", true}, {"public.c", true}},
	}
	phases := func(capture capture.Status) (out []string) {
		s := assemble(f, capture)
		require.Equal(t, "streaming", s.Phase, "a table that is not captured holds nothing up")
		for _, table := range s.Tables {
			out = append(out, table.Table+" "+table.Phase)
		}
		return out
	}
	require.Equal(t, []string{"public.a new", "public.b streaming", "public.c copying"}, phases(capture.Status{}))
	following := capture.Status{Phase: cdc.PhaseStreaming, Tables: []capture.TableStatus{{Table: "public.b", Phase: cdc.TableStreaming}}}
	require.Equal(t, []string{"public.a new", "public.b streaming", "public.c new"}, phases(following), "a publication may take in whole schemas")
	f.complete = nil
	require.Empty(t, assemble(f, capture.Status{}).Tables, "nothing is captured before a first start")
}

// TestNewTablesSayWhy: what keeps a table out now comes before what capture said when it started, which may have been mended.
func TestNewTablesSayWhy(t *testing.T) {
	const noKey = "table public.a cannot be captured: it has no primary key. Try: give public.a a primary key"
	reasons := func(c *Collector) (out []string) {
		s := c.explained(t.Context(), Status{Tables: []TableStatus{
			{Table: "public.a", Phase: "new", Reason: noKey}, {Table: "public.b", Phase: "new"}, {Table: "public.c", Phase: "quarantined", Reason: "load: broken"},
		}})
		for _, table := range s.Tables {
			out = append(out, table.Reason)
		}
		return out
	}
	asked := 0
	obstacles := map[string]string{"public.b": "clerk may not read it. Try: GRANT SELECT ON TABLE public.b TO clerk"}
	var fails error
	c := NewCollector(Sources{Obstacles: func(context.Context) (map[string]string, error) { asked++; return obstacles, fails }})
	for range 2 {
		require.Equal(t, []string{
			"not captured: capture has not seen it yet. Try: restart capture to copy it",
			"not captured: clerk may not read it. Try: GRANT SELECT ON TABLE public.b TO clerk; then restart capture", "load: broken",
		}, reasons(c))
	}
	require.Equal(t, 1, asked, "the catalog is large")
	c.obstacles.at, fails = time.Time{}, errors.New("no")
	for _, c := range []*Collector{c, NewCollector(Sources{})} {
		require.Equal(t, []string{
			"not captured: " + noKey + "; then restart capture",
			"not captured. Try: restart capture to copy it, or dirtbike check, which says what keeps it out", "load: broken",
		}, reasons(c), "the capture in this process has said something")
	}
	c.obstacles.at = time.Time{}
	asked = 0
	require.Empty(t, c.explained(t.Context(), Status{}).Tables)
	require.Zero(t, asked, "there is no new table")
}

func TestHealthOfTables(t *testing.T) {
	lag := int64(0)
	s := Status{LagBytes: &lag, Tables: []TableStatus{
		{Table: "public.a", Phase: "quarantined", Reason: "capture: it has no primary key. Try: give public.a a primary key"},
		{Table: "public.b", Phase: "quarantined", Reason: "load: malformed value. Try: that"},
		{Table: "public.c", Phase: "streaming", Exact: true},
	}}
	require.EqualError(t, s.tablesHealth(), "2 of 3 tables quarantined: public.a (capture: it has no primary key), public.b (load: malformed value). Try: dirtbike status, which says what to do for each")
	require.EqualError(t, s.exactHealth(), "not equal to the source: public.a (quarantined), public.b (quarantined). Try: dirtbike status")
	s.Tables = append(s.Tables[2:], TableStatus{Table: "public.d", Phase: "new", Reason: NotCaptured("", true)})
	require.EqualError(t, s.tablesHealth(), "not captured: public.d (capture has not seen it yet). Try: restart capture to copy it")
	s.Tables[1].Reason = NotCaptured("it has no primary key. Try: give public.d a primary key", true)
	require.EqualError(t, s.tablesHealth(), "not captured: public.d (it has no primary key). Try: give public.d a primary key; then restart capture")
	s.Tables = append(s.Tables, TableStatus{Table: "public.f", Phase: "new", Reason: NotCaptured("", false)})
	require.EqualError(t, s.tablesHealth(), "not captured: public.d (it has no primary key), public.f. Try: dirtbike status, which says what to do for each")
	s.Tables = []TableStatus{{Table: "public.e", Phase: "copying"}}
	require.NoError(t, s.tablesHealth())
	require.EqualError(t, s.exactHealth(), "not equal to the source: public.e. Try: dirtbike wait")
}

// TestAnInactiveSlotFailsAfterAGrace: a capture in this process may be between two sessions.
func TestAnInactiveSlotFailsAfterAGrace(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	phase := cdc.PhaseCopying
	c := NewCollector(Sources{Slot: "s", Capture: func() capture.Status { return capture.Status{Phase: phase} }})
	var idle time.Time
	at := func(seconds int, active bool) error {
		_, err := c.streamed(t.Context(), slotFacts{name: "s", at: now.Add(time.Duration(seconds) * time.Second), found: true, active: active, retained: 2048}, forecast{}, &idle)
		return err
	}
	require.NoError(t, at(0, false), "nobody streams while the first copy runs")
	require.NoError(t, at(60, false))
	phase = cdc.PhaseStreaming
	require.NoError(t, at(61, false))
	require.NoError(t, at(65, false))
	require.EqualError(t, at(67, false), "the capture of this process has not streamed from slot s for 6s; Postgres keeps 2.0 KiB of log for it. Try: see check capture")
	require.NoError(t, at(68, true))
	require.NoError(t, at(69, false), "the grace begins anew")
}

func TestPostgresErrorsAreOneLine(t *testing.T) {
	_, unreachable := pgx.Connect(t.Context(), "postgres://u:hunter2@127.0.0.1:1/x")
	require.Error(t, unreachable)
	for name, c := range map[string]struct {
		err     error
		refused bool
		way     string
	}{
		"connect":       {unreachable, false, "see that Postgres runs and source.url is right"},
		"right":         {&pgconn.PgError{Code: "42501", Message: "permission\ndenied"}, true, "dirtbike explain postgres-rights"},
		"shutting down": {&pgconn.PgError{Code: "57P01", Message: "terminating connection"}, false, "see that Postgres runs and source.url is right"},
		"broken":        {errors.New("unexpected\n\tEOF"), false, "see that Postgres runs and source.url is right"},
	} {
		t.Run(name, func(t *testing.T) {
			err := postgresError(t.Context(), "ask", time.Now(), c.err)
			require.Equal(t, []cdc.Remedy{{Command: c.way}}, cdc.Explain(err).Try)
			require.Regexp(t, `^[^\n\t]+\. Try: [^\n\t]+$`, err.Error())
			require.NotContains(t, err.Error(), "hunter2")
			require.Equal(t, c.refused, errors.Is(err, cdc.ErrRefused))
		})
	}
}
