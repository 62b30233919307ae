package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

// open makes publication and slot and streams from its point.
func (r *rig) open(t *testing.T, binary bool) (cdc.Stream, cdc.LSN) {
	t.Helper()
	require.NoError(t, r.EnsurePublication(t.Context(), []*cdc.Table{r.table}))
	point, err := r.CreateSlot(t.Context())
	require.NoError(t, err)
	return r.stream(t, point, binary), point
}

func (r *rig) stream(t *testing.T, from cdc.LSN, binary bool) cdc.Stream {
	t.Helper()
	st, err := r.Stream(within(t, 2*time.Minute), from, binary)
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close(context.Background()) })
	return st
}

func changes(t *testing.T, r *rig) {
	r.exec(t, "ALTER TABLE t ALTER v SET STORAGE EXTERNAL", "CREATE TABLE other (id int PRIMARY KEY)")
	st, _ := r.open(t, false)
	r.exec(t,
		"BEGIN; INSERT INTO t VALUES (1, 'a'), (2, NULL); UPDATE t SET v = 'b' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO other VALUES (1); COMMIT",
		"INSERT INTO t VALUES (9, repeat('x', 5000))", "UPDATE t SET id = 10 WHERE id = 9", "TRUNCATE t, other")
	long := strings.Repeat("x", 5000)
	require.Equal(t, []string{
		"B", "I 1,a", "I 2,<n>", "U 1,b", "U K(1,<n>) 3,b", "D K(2,<n>)", "C",
		"B", "I 9," + long, "C", "B", "U K(9,<n>) 10,<u>", "C", "B", "T×1", "C",
	}, until(t, st, commits(4)))
}

func rowsInBinary(t *testing.T, r *rig) {
	st, _ := r.open(t, true)
	r.exec(t, "INSERT INTO t VALUES (258, 'a')")
	require.Equal(t, []string{"B", "I 0000000000000102,61", "C"}, until(t, st, commits(1)))
}

// resumeAndReport: what is reported moves the slot, what is not comes again.
func resumeAndReport(t *testing.T, r *rig) {
	st, from := r.open(t, false)
	r.exec(t, "INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (2, 'b')")
	var end cdc.LSN
	until(t, st, func(e *cdc.Event) bool { end = e.EndLSN; return e.Kind == cdc.EventCommit })
	until(t, st, commits(1))
	status, _, err := r.Slot(t.Context())
	require.NoError(t, err)
	require.True(t, status.Active)
	require.Equal(t, from, status.ConfirmedFlush, "nothing was reported")
	st.Report(cdc.DurableAt(cdc.Point{Reported: end}))
	st.Report(cdc.DurableAt(cdc.Point{Reported: from})) // never backwards
	require.Eventually(t, func() bool {
		status, _, err := r.Slot(t.Context())
		return err == nil && status.ConfirmedFlush == end
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, st.Close(t.Context()))
	require.NoError(t, st.Close(t.Context()), "twice does no harm")
	_, err = drain(t, st) // what had arrived before may still come
	require.Error(t, err)
	st.Wake()
	require.Error(t, st.Nudge())
	require.Equal(t, []string{"B", "I 2,b", "C"}, until(t, r.stream(t, end, false), commits(1)))
}

// heldSlot: a slot that another connection holds is waited for.
func heldSlot(t *testing.T, r *rig) {
	st, from := r.open(t, false)
	got := make(chan cdc.Stream, 1)
	ctx := within(t, time.Minute)
	go func() {
		second, err := r.Stream(ctx, from, false)
		if err == nil {
			got <- second
		}
		close(got)
	}()
	require.Never(t, func() bool { return len(got) > 0 }, 300*time.Millisecond, 50*time.Millisecond)
	err := r.DropSlot(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "stop capture, then again"}}, cdc.Explain(err).Try)
	require.NoError(t, st.Close(t.Context()))
	second, ok := <-got
	require.True(t, ok)
	require.NoError(t, second.Close(t.Context()))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Stream(ended, from, false)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return r.DropSlot(t.Context()) == nil }, 10*time.Second, 20*time.Millisecond, "nobody streams any more")
}

// wakesUnderLoad: waking interrupts reads at any byte, and no message is lost or torn by it.
func wakesUnderLoad(t *testing.T, r *rig) {
	st, _ := r.open(t, false)
	const rows = 210_000 // per transaction, a multiple of 300
	sent := 0
	more := func() {
		r.exec(t, fmt.Sprintf("INSERT INTO t SELECT i, repeat('v', i %% 300) FROM generate_series(%d, %d) i", sent+1, sent+rows))
		sent += rows
	}
	more()
	ctx, cancel := context.WithCancel(t.Context())
	var hammers sync.WaitGroup
	hammers.Go(func() {
		for ctx.Err() == nil {
			st.Wake()
		}
	})
	hammers.Go(func() {
		for ctx.Err() == nil && st.Nudge() == nil {
			st.Report(cdc.DurableAt(cdc.Point{Reported: 1}))
		}
	})
	seen, wakes := 0, 0
	for done := false; !done; {
		e, err := st.Next(ctx)
		require.NoError(t, err)
		switch e.Kind {
		case cdc.EventInsert:
			seen++
			require.Len(t, e.New[1].Data, seen%300)
		case cdc.EventWake:
			wakes++
		case cdc.EventCommit:
			if done = wakes > 100; !done { // the machine is busy with other things
				more()
			}
		case cdc.EventNone, cdc.EventBegin, cdc.EventRelation, cdc.EventUpdate, cdc.EventDelete, cdc.EventTruncate, cdc.EventKeepalive:
		}
	}
	cancel()
	hammers.Wait()
	require.Equal(t, sent, seen)
	until(t, st, func(e *cdc.Event) bool { return e.Kind == cdc.EventKeepalive })
	st.Wake()
	until(t, st, func(e *cdc.Event) bool { return e.Kind == cdc.EventWake })
}

// skippedTransactions: foreign traffic is passed by keepalives (from Postgres 15 on its transactions are not even
// begun).
func skippedTransactions(t *testing.T, r *rig) {
	r.exec(t, "CREATE TABLE other (id int PRIMARY KEY)")
	st, from := r.open(t, false)
	r.exec(t, "INSERT INTO other SELECT generate_series(1, 1000)")
	var end string
	require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&end))
	target, err := cdc.ParseLSN(end)
	require.NoError(t, err)
	require.Greater(t, target, from)
	stop := make(chan struct{})
	var nudging sync.WaitGroup
	nudging.Go(func() {
		for ticker := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-stop:
				ticker.Stop()
				return
			case <-ticker.C:
				_ = st.Nudge()
			}
		}
	})
	seen := until(t, st, func(e *cdc.Event) bool { return e.Kind == cdc.EventKeepalive && e.WALEnd >= target })
	close(stop)
	nudging.Wait()
	if serverMajor(r.conn) >= 15 {
		require.Empty(t, seen)
	}
	require.NotContains(t, strings.Join(seen, " "), "I")
}

// longPause: a reader that does not come back for longer than wal_sender_timeout keeps its connection.
func longPause(t *testing.T, r *rig) {
	login := r.options.Login
	defer func() { r.options.Login = login }()
	r.options.Login = login.With("wal_sender_timeout", "6s")
	st, _ := r.open(t, false)
	r.exec(t, "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) i")
	until(t, st, func(e *cdc.Event) bool { return e.Kind == cdc.EventInsert })
	pause := time.After(9 * time.Second)
	<-pause // no one reads meanwhile, and the server's send buffer is full
	require.Len(t, until(t, st, commits(1)), 60000)
}

// publicationDropped: the log before a new publication cannot be read through it, which is why capture refuses to make
// one for a slot that is there.
func publicationDropped(t *testing.T, r *rig) {
	st, from := r.open(t, false)
	require.NoError(t, st.Close(t.Context()))
	r.exec(t, "INSERT INTO t VALUES (1, 'published')", "DROP PUBLICATION "+quote(r.options.Publication), "INSERT INTO t VALUES (2, 'lost')")
	require.NoError(t, r.EnsurePublication(t.Context(), []*cdc.Table{r.table}))
	r.exec(t, "INSERT INTO t VALUES (3, 'published')")
	st = r.stream(t, from, false)
	ctx := within(t, time.Minute)
	defer context.AfterFunc(ctx, st.Wake)()
	rows := ""
	for {
		e, err := st.Next(ctx)
		if err != nil {
			require.ErrorIs(t, err, cdc.ErrGap)
			require.Equal(t, []cdc.Remedy{{Command: cdc.ResnapshotAllCommand}}, cdc.Explain(err).Try)
			return
		}
		if rows += text(e); strings.Contains(rows, "3,") {
			require.NotContains(t, rows, "2,", "the server says nothing of what it left out")
			return
		}
	}
}

// TestServerGoesAway: each way of ending is an error that says so, and the stream goes on after what was
// reported.
func TestServerGoesAway(t *testing.T) {
	p := embeddedtest.Postgres(t, "18", nil)
	r := newRig(t, p)
	st, from := r.open(t, false)
	r.exec(t, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
	_, err := drain(t, st)
	require.Contains(t, cdc.Explain(err).What, "57P01")
	require.NotContains(t, err.Error(), "\n")

	st = r.stream(t, from, false)
	r.exec(t, "INSERT INTO t VALUES (1, 'a')")
	require.Eventually(t, func() (streams bool) { // a server that stops waits only for walsenders that have begun
		require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE state = 'streaming')").Scan(&streams))
		return streams
	}, 10*time.Second, 5*time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(context.Background()) }()
	rows, err := drain(t, st)
	require.Contains(t, rows, "I 1,a")
	require.Contains(t, cdc.Explain(err).What, "shutting down")
	require.NoError(t, st.Close(t.Context()))
	require.NoError(t, <-stopped)
	_, err = r.Stream(t.Context(), from, false)
	require.Contains(t, cdc.Explain(err).What, "127.0.0.1")
	require.NoError(t, p.Start(t.Context()))
	r.conn = embeddedtest.Connect(t, r.url)
	r.exec(t, "INSERT INTO t VALUES (2, 'b')")
	st = r.stream(t, from, false)
	require.Equal(t, []string{"B", "I 2,b", "C"}, until(t, st, commits(1)), "what was confirmed does not come again")
	require.NoError(t, p.Kill())
	_, err = drain(t, st)
	require.Error(t, err)
}

// drain reads until the error, confirming everything at once.
func drain(t *testing.T, st cdc.Stream) (rows []string, err error) {
	t.Helper()
	ctx := within(t, time.Minute)
	defer context.AfterFunc(ctx, st.Wake)()
	for {
		e, err := st.Next(ctx)
		if err != nil {
			return rows, err
		}
		rows = append(rows, text(e))
		if e.Kind == cdc.EventKeepalive {
			st.Report(cdc.DurableAt(cdc.Point{Reported: e.WALEnd}))
		}
	}
}
