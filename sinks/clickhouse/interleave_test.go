package clickhouse

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// TestCutComesFirst: a TRUNCATE that arrives through one partition before another one's earlier records hides them; one
// that lacks its unchanged columns is no missing base.
func TestCutComesFirst(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "early")
	w.begin().insert(tab, "1", "0", "one", "{}", "1").insert(tab, "2", "0", "two", "{}", "1").insert(tab, "3", "0", "three", "{}", "1").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	w.begin().update(tab, "1", "1", `\U`, `\U`, `\U`).update(tab, "2", "1", `\U`, `\U`, `\U`).update(tab, "3", "1", `\U`, `\U`, `\U`).
		truncate(tab).insert(tab, "2", "2", "again", "{}", "1").commit()
	require.NoError(t, w.conn.Exec(w.ctx, "INSERT INTO "+w.rawTable("cuts")+" SELECT "+schemas.ClickHouseLiteral(tab.topic.Name)+", 1, 0, toUInt128('"+
		ledger.Version(cdc.Position{Epoch: 1, CommitLSN: w.lsn, Ordinal: 7}).String()+"')")) // what another loader has written
	w.load()
	w.wait()
	require.Equal(t, []string{"2\t2\tagain"}, w.query("SELECT id, n, doc FROM DB.early"))
	require.True(t, w.complete("public.early").Exact)
}

// TestEndAndOpenInOneBatch: a change after the open of a third copy also goes to the second one, which the view shows
// once the batch that ends it is applied.
func TestEndAndOpenInOneBatch(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "between")
	w.begin().insert(tab, "1", "first").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	x := w.begin().open(tab)
	x.read(tab, x.snapshot(), "1", "second").end(tab, x.snapshot()).commit()
	w.begin().open(tab).commit()
	w.begin().insert(tab, "2", "behind").update(tab, "1", "changed").commit()
	w.load()
	w.wait()
	w.eventually([]string{"1\tchanged", "2\tbehind"}, "SELECT * FROM DB.between ORDER BY id")
}

// TestNotExactWhileCopiedAgain: capture missed changes and copies the table again; until the view shows the new copy it
// is not exact.
func TestNotExactWhileCopiedAgain(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "named")
	w.begin().insert(tab, "1", "stale").commit()
	w.tables["public.named"] = cdc.TableProgress{Phase: cdc.TableExcluded, Generation: 1}
	w.idle()
	w.tables["public.named"] = cdc.TableProgress{Phase: cdc.TableCopying, Generation: 2}
	x := w.begin().open(tab)
	x.commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"1\tstale"}, w.query("SELECT * FROM DB.named"))
	require.False(t, w.complete("public.named").Exact)
	require.False(t, w.complete("").Exact)
	w.tables["public.named"] = cdc.TableProgress{Phase: cdc.TableStreaming, Generation: 2}
	x = w.begin()
	x.end(tab, x.snapshot()).commit()
	w.wait()
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
	require.Empty(t, w.query("SELECT * FROM DB.named"))
}

// TestLiftKeepsLaterQuarantine: a loader that lifts the quarantine of a generation does not undo another's of the next
// one.
func TestLiftKeepsLaterQuarantine(t *testing.T) {
	one, two := apply.NewQuarantines(), apply.NewQuarantines()
	require.True(t, one.Open("public.a", 1, "bad"))
	require.True(t, two.Open("public.a", 2, "bad, too"))
	k := apply.QuarantineKey{Table: "public.a", Leg: ledger.LegLoad}
	one.Lift("public.a", 2)
	require.Equal(t, ledger.StateClosed, one.Rows[k].State)
	require.Greater(t, two.Rows[k].Version, one.Rows[k].Version)
	two.Lift("public.a", 2)
	require.True(t, two.Skips("public.a", 2))
}

// TestPausedOutlivesOwnership: the client stays paused when the partition goes and comes back, so that must not be
// forgotten.
func TestPausedOutlivesOwnership(t *testing.T) {
	g := &progress{tracker: complete.NewTracker(facts{}, []ledger.Point{{Position: cdc.Position{Epoch: 3}}}), paused: true}
	g.forget()
	require.True(t, g.paused)
	require.Zero(t, g.tracker.Epoch())
}

// TestBasesAtOnce: how many bases are read follows from how large they are.
func TestBasesAtOnce(t *testing.T) {
	require.Equal(t, 128, nextKeys(32, 32, 32*100, 8<<20))
	require.Equal(t, 8, nextKeys(32, 32, 32<<20, 8<<20))
	require.Equal(t, 1, nextKeys(1, 8, 64<<20, 8<<20))
	require.Equal(t, keysAtMost, nextKeys(1, keysAtMost, 100, 8<<20))
	for _, row := range []int64{100, 10 << 10, 1 << 20, 16 << 20} { // never more than a batch, or one row, from the first on
		for keys, step := keysAtFirst, 0; step < 10; step++ {
			require.LessOrEqual(t, int64(keys)*row, max(8<<20, row))
			keys = nextKeys(keys, keys, int64(keys)*row, 8<<20)
		}
	}
}

// TestBasesOfFormerGenerations: what is known of one generation says nothing of the next, and is forgotten.
func TestBasesOfFormerGenerations(t *testing.T) {
	m, former, next := basesAtOnce{}, &table.Table{}, &table.Table{Generation: 2}
	require.Equal(t, keysAtFirst, m.of("a", former))
	m["a"] = basesOf{former, 7}
	require.Equal(t, 7, m.of("a", former))
	require.Equal(t, keysAtFirst, m.of("a", next))
	m["a"] = basesOf{next, 9}
	require.Equal(t, keysAtFirst, m.of("a", former))
	require.Len(t, m, 1)
}

// TestSilentServer: a query ends with its context although the server has stopped to answer in the middle of it.
func TestSilentServer(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close() //nolint:errcheck // nothing was written
	real, err := net.ResolveTCPAddr("tcp", clickHouseAddr(t))
	require.NoError(t, err)
	silent, asked := make(chan struct{}), make(chan struct{}, 1000)
	go relayUntil(server, real, silent, asked)
	w := newWorld(t)
	o := w.options()
	url, err := o.parseURL()
	require.NoError(t, err)
	url.Addr = []string{server.Addr().String()}
	n := table.NewPool(url)
	defer n.Close()
	require.NoError(t, n.Do(w.ctx, ch.Query{Body: "SYSTEM FLUSH LOGS"}))
	close(silent)
	for len(asked) > 0 {
		<-asked
	}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- n.Do(ctx, ch.Query{Body: "SYSTEM FLUSH LOGS"}) }()
	<-asked
	cancel()
	select {
	case err := <-done:
		require.Error(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("the query did not end with its context")
	}
}

// TestStopLetsAStatementEnd: what was asked before a stop is answered, so that ClickHouse is not cut off; nothing is
// asked after it.
func TestStopLetsAStatementEnd(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	url, err := o.parseURL()
	require.NoError(t, err)
	pool, books := table.NewPool(url), ledger.New(w.conn, w.database)
	defer pool.Close()
	const slow = "SELECT sleep(0.5)"
	var number uint8
	for name, ask := range map[string]func(context.Context) error{
		"rows":      func(ctx context.Context) error { return pool.Do(ctx, ch.Query{Body: slow + " FORMAT Null"}) },
		"one":       func(ctx context.Context) error { return books.Ask(ctx, "sleep", slow, &number) },
		"no answer": func(ctx context.Context) error { return books.Exec(ctx, "sleep", slow+" FORMAT Null") },
	} {
		ctx, stop := context.WithCancel(w.ctx)
		time.AfterFunc(100*time.Millisecond, stop)
		began := time.Now()
		require.NoError(t, ask(ctx), name)
		require.Greater(t, time.Since(began), 400*time.Millisecond, name)
		require.Error(t, ctx.Err())
		require.ErrorIs(t, ask(ctx), context.Canceled, name)
	}
}

func clickHouseAddr(t *testing.T) string {
	o := Options{URL: stack.Get(t).ClickHouse.URL()}
	url, err := o.parseURL()
	require.NoError(t, err)
	return url.Addr[0]
}

// relayUntil passes one connection on until it shall be silent: then the client hears nothing more. asked gets a value
// for whatever the client says.
func relayUntil(l net.Listener, to *net.TCPAddr, silent <-chan struct{}, asked chan<- struct{}) {
	in, err := l.Accept()
	if err != nil {
		return
	}
	out, err := net.DialTCP("tcp", nil, to)
	if err != nil {
		return
	}
	go pass(out, in, func() bool { asked <- struct{}{}; return true })
	pass(in, out, func() bool {
		select {
		case <-silent:
			return false
		default:
			return true
		}
	})
}

func pass(to, from net.Conn, wanted func() bool) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			_ = to.Close()
			return
		}
		if wanted() {
			_, _ = to.Write(buf[:n])
		}
	}
}
