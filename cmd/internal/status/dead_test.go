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
		"see dirtbike explain kafka\n":                          {kafka: cdc.Failed("Kafka does not answer"), Tables: []TableStatus{{Table: "a.b", Phase: "streaming", Exact: true}}},
		"see dirtbike explain slot\n":                           {capture: cdc.Failed("slot s is gone"), Tables: []TableStatus{{Table: "a.b", Phase: "streaming", Exact: true}}},
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
			shown:    map[string]uint32{"a": 1},
		}
	}
	const lag = " · ClickHouse is 4.0 KiB, 1m0s behind"
	run := []cdc.Remedy{{Command: "dirtbike run"}, {Command: "dirtbike capture"}}
	for name, c := range map[string]struct {
		change func(*facts)
		line   string
		try    []cdc.Remedy
	}{
		"alive": {func(*facts) {}, "phase streaming" + lag + " · Postgres keeps 1.0 MiB of log for the slot", nil},
		"gone": {func(f *facts) { f.slot = slotFacts{name: "s", at: now, current: 0x2000} }, "slot s is gone: changes since 0/1000 cannot be read" + lag,
			[]cdc.Remedy{{Command: cdc.ResnapshotAllCommand}}},
		"lost": {func(f *facts) { f.slot.active, f.slot.walStatus = false, "lost" }, "slot s was invalidated by Postgres: changes since 0/1000 cannot be read" + lag,
			[]cdc.Remedy{{Command: "raise max_slot_wal_keep_size, then " + cdc.ResnapshotAllCommand}}},
		"idle for too long": {func(f *facts) { f.slot.active, f.slot.walStatus, f.slot.lostBy = false, "lost", "idle_timeout" },
			"slot s was invalidated by Postgres: changes since 0/1000 cannot be read" + lag, []cdc.Remedy{{Command: cdc.LostSlotCommand("idle_timeout")}}},
		"inactive": {func(f *facts) { f.slot.active = false }, "no capture is running (slot s is inactive, Postgres keeps 1.0 MiB of log for it)" + lag, run},
		"since": {func(f *facts) { f.slot.active, f.slot.since = false, now },
			"no capture is running (slot s is inactive since 2026-05-01T10:00:00Z, Postgres keeps 1.0 MiB of log for it)" + lag, run},
		"connected": {func(f *facts) { f.slot.active, f.slot.connected, f.slot.since = false, true, now },
			"a capture is connected to Postgres and does not stream (slot s is inactive since 2026-05-01T10:00:00Z, Postgres keeps 1.0 MiB of log for it)" + lag,
			[]cdc.Remedy{{Command: "see its log, which says what keeps it, and Kafka's brokers"}}},
		"copying": {func(f *facts) { f.slot.active, f.shown = false, nil }, "phase copying" + lag + " · Postgres keeps 1.0 MiB of log for the slot", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := base()
			c.change(&f)
			s := assemble(f, capture.Status{})
			require.Equal(t, c.line, headline(t, s))
			if c.try == nil {
				require.Nil(t, s.capture)
				return
			}
			require.Equal(t, c.try, s.capture.Try)
			require.Equal(t, s.capture, s.Problems()[0])
		})
	}
}

func TestUncapturedTables(t *testing.T) {
	f := facts{
		slot:     slotFacts{found: true, active: true},
		complete: map[string]ledger.Complete{"": {LSN: 1}, "public.b": {Exact: true}},
		shown:    map[string]uint32{"b": 1},
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
	for phase, is := range map[cdc.Phase]string{cdc.PhaseStreaming: "new", cdc.PhaseCopying: "copying"} { // of a capture elsewhere
		state := &cdc.State{Tables: map[string]cdc.TableState{"public.b": {Phase: cdc.TableStreaming}}}
		state.Source.Phase = phase
		s := NewCollector(Sources{State: func(context.Context) (*cdc.State, error) { return state, nil }}).explained(t.Context(), assemble(f, capture.Status{}))
		require.Equal(t, is, s.Tables[2].Phase)
	}
	f.complete = nil
	require.Empty(t, assemble(f, capture.Status{}).Tables, "nothing is captured before a first start")
}

// because is a table with a reason.
func because(table, phase string, reasons ...*cdc.Problem) TableStatus {
	t := TableStatus{Table: table, Phase: phase}
	t.because(reasons...)
	return t
}

var noKey = cdc.Failed("it has no primary key").Fix("give it a primary key")

// TestNewTablesSayWhy: what keeps a table out now comes before what capture said when it started, which may have been
// fixed.
func TestNewTablesSayWhy(t *testing.T) {
	broken := cdc.Failed("load: broken")
	problems := func(c *Collector) (out []*cdc.Problem) {
		s := c.explained(t.Context(), Status{Tables: []TableStatus{
			because("public.a", "new", noKey), {Table: "public.b", Phase: "new"}, because("public.c", "quarantined", broken),
		}})
		for _, table := range s.Tables {
			require.Equal(t, table.problems[0].Error(), table.Reason)
			out = append(out, table.problems...)
		}
		return out
	}
	asked := 0
	unread := cdc.Failed("clerk may not read it").Fix("GRANT SELECT ON TABLE public.b TO clerk")
	var fails error
	c := NewCollector(Sources{Obstacles: func(context.Context) (map[string]*cdc.Problem, error) {
		asked++
		return map[string]*cdc.Problem{"public.b": unread}, fails
	}})
	for range 2 {
		require.Equal(t, []*cdc.Problem{NotCaptured(nil, true), NotCaptured(unread, true), broken}, problems(c))
	}
	require.Equal(t, 1, asked, "the catalog is large")
	c.obstacles.at, fails = time.Time{}, errors.New("no")
	for _, c := range []*Collector{c, NewCollector(Sources{})} {
		require.Equal(t, []*cdc.Problem{NotCaptured(noKey, false), NotCaptured(nil, false), broken}, problems(c), "the capture in this process has said something")
	}
	c.obstacles.at = time.Time{}
	asked = 0
	require.Empty(t, c.explained(t.Context(), Status{}).Tables)
	require.Zero(t, asked, "there is no new table")
}

// TestNotCaptured: what fixes the obstacle comes first, then the restart that considers the table again.
func TestNotCaptured(t *testing.T) {
	require.Equal(t, []cdc.Remedy{{Command: "give it a primary key; then restart capture"}}, NotCaptured(noKey, true).Remedies())
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike check, which says how; then restart capture"}}, NotCaptured(cdc.Failed("no"), true).Remedies())
	require.Equal(t, []cdc.Remedy{{Command: "restart capture to copy it"}}, NotCaptured(nil, true).Remedies())
	require.Len(t, NotCaptured(nil, false).Remedies(), 2, "check may know more")
}

func TestHealthOfTables(t *testing.T) {
	lag := int64(0)
	s := Status{LagBytes: &lag, Tables: []TableStatus{
		because("public.a", "quarantined", cdc.ParseProblem("capture: it has no primary key. Try: give public.a a primary key")),
		because("public.b", "quarantined", cdc.ParseProblem("load: malformed value. Try: that")), {Table: "public.c", Phase: "streaming", Exact: true},
	}}
	forEach := []cdc.Remedy{{Command: "dirtbike status, which says what to do for each"}}
	require.Equal(t, &cdc.Problem{What: "2 of 3 tables quarantined: public.a (capture: it has no primary key), public.b (load: malformed value)", Try: forEach}, s.tablesProblem())
	require.Equal(t, &cdc.Problem{What: "not equal to the source: public.a (quarantined), public.b (quarantined)", Try: []cdc.Remedy{{Command: "dirtbike status"}}}, s.exactProblem())
	s.Tables = append(s.Tables[2:], because("public.d", "new", NotCaptured(nil, true)))
	require.Equal(t, &cdc.Problem{What: "not captured: public.d (capture has not seen it yet)", Try: NotCaptured(nil, true).Try}, s.tablesProblem())
	s.Tables[1].because(NotCaptured(noKey, true))
	require.Equal(t, &cdc.Problem{What: "not captured: public.d (it has no primary key)", Try: NotCaptured(noKey, true).Try}, s.tablesProblem())
	s.Tables = append(s.Tables, because("public.f", "new", NotCaptured(nil, false)))
	require.Equal(t, &cdc.Problem{What: "not captured: public.d (it has no primary key), public.f", Try: forEach}, s.tablesProblem())
	s.Tables = []TableStatus{{Table: "public.e", Phase: "copying"}}
	require.Nil(t, s.tablesProblem())
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike wait"}}, s.exactProblem().Try)
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
	require.NoError(t, at(0, false), "no capture streams while the first copy runs")
	require.NoError(t, at(60, false))
	phase = cdc.PhaseStreaming
	require.NoError(t, at(61, false))
	require.NoError(t, at(65, false))
	require.Equal(t, []cdc.Remedy{{Command: "see check capture"}}, cdc.Explain(at(67, false)).Try)
	require.NoError(t, at(68, true))
	require.NoError(t, at(69, false), "the grace begins again")
}

func TestPostgresErrorsAreOneLine(t *testing.T) {
	_, unreachable := pgx.Connect(t.Context(), "postgres://u:hunter2@127.0.0.1:1/x")
	require.Error(t, unreachable)
	const runs = "see that Postgres runs and source.url is right"
	for name, c := range map[string]struct {
		err     error
		refused bool
		try     string
	}{
		"connect":       {unreachable, false, runs},
		"right":         {&pgconn.PgError{Code: "42501", Message: "permission\ndenied"}, true, "dirtbike explain postgres-rights"},
		"shutting down": {&pgconn.PgError{Code: "57P01", Message: "terminating connection"}, false, runs},
		"broken":        {errors.New("unexpected\nEOF"), false, runs},
	} {
		t.Run(name, func(t *testing.T) {
			p := postgresError(t.Context(), "ask", time.Now(), c.err)
			require.Equal(t, []cdc.Remedy{{Command: c.try}}, p.Remedies())
			require.NotContains(t, p.Error(), "\n")
			require.NotContains(t, p.Error(), "hunter2")
			require.Equal(t, c.refused, errors.Is(p, cdc.ErrRefused))
		})
	}
}

// TestWhatIsKnownIsShown while a server does not answer: the retained log without ClickHouse, the tables without
// Postgres, and nothing that was not asked.
func TestWhatIsKnownIsShown(t *testing.T) {
	away := errors.New("gone")
	slot := slotFacts{name: "s", found: true, active: true, walStatus: "reserved", retained: 1 << 20, keep: -1, safe: -1}
	idle := slot
	idle.active = false
	tables := facts{complete: map[string]ledger.Complete{"": {LSN: 0x1000}, "public.a": {Exact: true}}, shown: map[string]uint32{"a": 1}}
	const noTables = " · ClickHouse did not answer: what its tables have, and the lag, are not known"
	const noSlot = "phase unknown · Postgres did not answer: the slot and the log that it retains are not known"
	for name, c := range map[string]struct {
		facts    facts
		disk     int64
		headline string
		tables   int
		missing  int
	}{
		"ClickHouse": {facts{slot: slot, clickHouse: away}, 0, "phase unknown" + noTables + " · Postgres keeps 1.0 MiB of log for the slot", 0, 1},
		"ClickHouse, a limit": {facts{slot: slot, clickHouse: away}, 3 << 20,
			"phase unknown" + noTables + " · Postgres keeps 1.0 MiB of log for the slot · 2.0 MiB below source.wal_disk", 0, 1},
		"ClickHouse, no capture": {facts{slot: idle, clickHouse: away}, 0,
			"no capture is running (slot s is inactive, Postgres keeps 1.0 MiB of log for it)" + noTables, 0, 1},
		"ClickHouse, no slot": {facts{clickHouse: away}, 0, "phase unknown" + noTables + " · there is no slot", 0, 1},
		"Postgres":            {facts{complete: tables.complete, shown: tables.shown, postgres: away}, 0, noSlot, 1, 1},
		"Postgres, new":       {facts{postgres: away}, 0, noSlot, 0, 1},
		"both":                {facts{postgres: away, clickHouse: away}, 0, "phase unknown · Postgres did not answer: the slot and the log that it retains are not known" + noTables, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewCollector(Sources{WALDisk: c.disk}).partial(t.Context(), c.facts)
			require.Equal(t, c.headline, headline(t, s))
			require.Len(t, s.Tables, c.tables)
			require.Len(t, s.Missing, c.missing)
			require.Nil(t, s.LagBytes)
			require.Equal(t, c.facts.slot.found, s.RetainedWALBytes != nil)
		})
	}
}

// TestOnlyWhatHangsIsBlamed: several checks wait for one answer. When that has used the time up, none of them asks with
// what it has left, in which no server could answer.
func TestOnlyWhatHangsIsBlamed(t *testing.T) {
	hangs, asked := errors.New("ClickHouse hangs"), make(chan int, 2)
	c := NewCollector(Sources{})
	c.asks = func(ctx context.Context) (facts, error) {
		asked <- 1
		<-ctx.Done()
		return facts{}, hangs
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	go c.read(ctx) //nolint:errcheck // the other one's answer is looked at
	<-asked
	later, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.read(later)
	require.ErrorIs(t, err, hangs)
	require.Empty(t, asked)
	c.asks = func(context.Context) (facts, error) { return facts{}, nil }
	_, err = c.read(t.Context())
	require.NoError(t, err, "one who comes later asks")
}
