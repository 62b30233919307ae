package verify

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/wait"
	"dirtbike/sinks/clickhouse/ledger"
)

// TestNoCaptureRuns: a wait ends with that after a grace at the latest, and not while a capture is there.
func TestNoCaptureRuns(t *testing.T) {
	c := newClinic(t)
	c.complete("", 1, 1)
	o := wait.Options{Source: c.url, ClickHouse: c.ch, Database: c.database, Slot: c.database, Timeout: 300 * time.Millisecond}
	err := c.ends(o, wait.ErrNoCapture)
	require.Len(t, cdc.Explain(err).Try, 2, "run, or capture")
	require.Contains(t, cdc.Explain(err).What, "does not exist")

	s, err := wait.Connect(t.Context(), c.url)
	require.NoError(t, err)
	defer s.Close(t.Context())
	w := wait.CaptureWatch{Slot: c.database, Idle: time.Now()}
	require.NoError(t, w.Check(t.Context(), s), "a capture may be restarting")
	require.False(t, w.Due())
	w.Idle = time.Now().Add(-wait.WatchGrace)
	require.ErrorIs(t, w.Check(t.Context(), s), wait.ErrNoCapture)
	c.source("SELECT pg_create_logical_replication_slot('" + c.database + "', 'pgoutput')")
	defer c.source("SELECT pg_drop_replication_slot('" + c.database + "')")
	require.Equal(t, "no capture reads slot "+c.database, cdc.Explain(w.Check(t.Context(), s)).What)

	options, err := pgx.ParseConfig(c.url)
	require.NoError(t, err)
	options.RuntimeParams["application_name"] = postgres.AttendName(c.database)
	copying, err := pgx.ConnectConfig(t.Context(), options)
	require.NoError(t, err)
	require.NoError(t, w.Check(t.Context(), s), "none streams while the first copy runs")
	require.True(t, w.Idle.IsZero())
	require.ErrorIs(t, c.ends(o, wait.ErrBehind), wait.ErrBehind)
	require.NoError(t, copying.Close(t.Context()))
	require.Eventually(t, func() bool { return w.Check(t.Context(), s) == nil && !w.Idle.IsZero() }, 10*time.Second, 10*time.Millisecond)
	o.Slot = ""
	require.ErrorIs(t, c.ends(o, wait.ErrBehind), wait.ErrBehind)
}

// ends waits until a wait ends with this error: on a busy machine a timeout may be too short for an answer, and another
// is twice as long.
func (c *clinic) ends(o wait.Options, with error) error {
	c.t.Helper()
	for {
		err := wait.Complete(c.t.Context(), o)
		if errors.Is(err, with) || o.Timeout > 10*time.Second {
			require.ErrorIs(c.t, err, with)
			return err
		}
		o.Timeout *= 2
	}
}

// TestWaitForAFirstCopy: the timeout does not count while a capture runs and nothing is complete yet, and what follows
// the first copy has a whole one. Without a capture it ends as ever.
func TestWaitForAFirstCopy(t *testing.T) {
	c := newClinic(t)
	o := wait.Options{Source: c.url, ClickHouse: c.ch, Database: c.database, Slot: c.database, Timeout: 800 * time.Millisecond, FirstCopy: true}
	require.ErrorIs(t, wait.Complete(t.Context(), o), wait.ErrNoCapture)
	options, err := pgx.ParseConfig(c.url)
	require.NoError(t, err)
	options.RuntimeParams["application_name"] = postgres.AttendName(c.database)
	copying, err := pgx.ConnectConfig(t.Context(), options)
	require.NoError(t, err)
	defer copying.Close(t.Context()) // nothing is open on it
	waited := make(chan error, 1)
	go func() { waited <- wait.Complete(t.Context(), o) }()
	select {
	case err := <-waited:
		require.Fail(t, "it gave up", "%v", err)
	case <-time.After(3 * o.Timeout):
	}
	c.complete("", 1, 1) // not yet up to what was asked for
	select {
	case err := <-waited:
		require.Fail(t, "it gave up", "%v", err)
	case <-time.After(o.Timeout / 8):
	}
	c.complete("", far, 1)
	require.NoError(t, <-waited)
	o.FirstCopy = false
	c2 := newClinic(t)
	o.ClickHouse, o.Database = c2.ch, c2.database
	require.ErrorIs(t, wait.Complete(t.Context(), o), wait.ErrBehind)
}

// TestVerifySaysThatNoCaptureRuns instead of only that ClickHouse is not complete.
func TestVerifySaysThatNoCaptureRuns(t *testing.T) {
	c := newClinic(t)
	c.source("CREATE TABLE claims (id int PRIMARY KEY); INSERT INTO claims VALUES (1)")
	c.storage("claims")
	c.complete("public.claims", 1, 1)
	_, err := c.verify(func(o *Options) { o.Slot, o.Timeout = "none", 300*time.Millisecond })
	require.ErrorIs(t, err, wait.ErrNoCapture)
}

// TestVerifySaysWhatItWaitsFor: somebody's lock on a table, once it is held for a few seconds, and what ends it.
func TestVerifySaysWhatItWaitsFor(t *testing.T) {
	c := newClinic(t)
	c.source("CREATE TABLE claims (id int PRIMARY KEY)")
	c.storage("claims")
	c.complete("public.claims", far, 1)
	holder, err := pgx.Connect(t.Context(), c.url)
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "BEGIN; LOCK TABLE claims IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	said, ended := make(chan string, 10), make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := c.verify(func(o *Options) { o.OnWait = func(line string) { said <- line } })
		ended <- err
	}()
	p := cdc.ParseProblem(<-said)
	require.Less(t, time.Since(began), 15*time.Second)
	require.Contains(t, p.What, fmt.Sprintf("verify waits in Postgres for the end of somebody's transaction (process %d of role ", holder.PgConn().PID()))
	command := fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(%d)", holder.PgConn().PID())
	require.Contains(t, p.Try[0].Command, command)
	c.source(command)
	require.NoError(t, <-ended)
}

// TestLocksAreSaidAtARate: what is found twice, then every half minute, and that it has ended.
func TestLocksAreSaidAtARate(t *testing.T) {
	var news lockNews
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	a, b := cdc.Failed("a"), cdc.Failed("b")
	for i, step := range []struct {
		after time.Duration
		found *cdc.Problem
		line  string
	}{
		{0, nil, ""}, {2, a, ""}, {2, nil, ""}, // a moment
		{2, a, ""}, {2, a, "a"}, {2, a, ""}, {20, a, ""}, {20, a, "a"},
		{2, b, ""}, {2, b, "b"}, {2, nil, "what verify waited for in Postgres has ended; it goes on"}, {2, nil, ""}, {2, a, ""},
	} {
		now = now.Add(step.after * time.Second)
		require.Equal(t, step.line, news.heard(step.found, now), "step %d", i)
	}
}

// TestQuarantineHasOneWayOut: the reason's own.
func TestQuarantineHasOneWayOut(t *testing.T) {
	c := newClinic(t)
	c.complete("public.claims", 1, 0)
	c.complete("", far, 1)
	c.sink("INSERT INTO DB_raw.quarantine VALUES ('public.claims', 'capture', 'no key. Try: add one', 1, 1), ('public.claims', 'load', 'malformed. Try: look', 1, 1)")
	err := wait.Complete(t.Context(), wait.Options{Source: c.url, ClickHouse: c.ch, Database: c.database})
	require.ErrorIs(t, err, wait.ErrQuarantined)
	require.Equal(t, []cdc.Remedy{{Command: "add one"}}, cdc.Explain(err).Try)
	require.Contains(t, cdc.Explain(err).What, "no key; malformed")
}

// TestReportIsInTheOrderOfNames, also where some tables could not be compared.
func TestReportIsInTheOrderOfNames(t *testing.T) {
	c := newClinic(t)
	c.source("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)")
	c.storage("a")
	c.storage("c")
	report, err := c.verify(func(o *Options) { o.Refused = map[string]*cdc.Problem{"public.b": cdc.Failed("it has no key")} })
	require.NoError(t, err)
	var names []string
	for _, table := range report.Tables {
		names = append(names, table.Table)
	}
	require.Equal(t, []string{"public.a", "public.b", "public.c"}, names)
}

// TestRefusedLogins end a wait at once: asking again does not help.
func TestRefusedLogins(t *testing.T) {
	refused := wait.ClickHouseError(&clickhouse.Exception{Code: 516, Message: "canary"})
	require.ErrorIs(t, refused, cdc.ErrRefused)
	require.ErrorIs(t, refused, proto.ErrAuthenticationFailed)
	require.NotContains(t, refused.Error(), "canary")
	require.ErrorIs(t, wait.ClickHouseError(&clickhouse.Exception{Code: 193}), cdc.ErrRefused)
	require.NotErrorIs(t, wait.ClickHouseError(&clickhouse.Exception{Code: 27}), cdc.ErrRefused)
	aborts, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer aborts.Close() //nolint:errcheck // the test is over
	go func() {
		for conn, err := aborts.Accept(); err == nil; conn, err = aborts.Accept() {
			_ = conn.Close()
		}
	}()
	hungUp, err := clickhouse.Open(&clickhouse.Options{Addr: []string{aborts.Addr().String()}})
	require.NoError(t, err)
	defer hungUp.Close() //nolint:errcheck // nothing is open on it
	_, err = wait.ReadComplete(t.Context(), ledger.New(hungUp, "x"))
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.NotContains(t, err.Error(), "conn_id")
	require.NotContains(t, err.Error(), "\n")
	_, err = wait.Connect(t.Context(), "postgres://u:hunter2@127.0.0.1:1/x")
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Len(t, cdc.Explain(err).Try, 1)
}
