package clickhouse

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// gate holds a loader's inserter at a fault point, so that the next batch is built meanwhile.
type gate struct {
	point         string
	shut          chan struct{} // has a token while the gate is shut
	held, release chan struct{}
}

func newGate(point string) *gate {
	return &gate{point: point, shut: make(chan struct{}, 1), held: make(chan struct{}), release: make(chan struct{})}
}

// fault lets one insert wait that meets the gate shut.
func (g *gate) fault(point string) { g.waits(point) }

func (g *gate) waits(point string) bool {
	if point != g.point {
		return false
	}
	select {
	case <-g.shut:
		close(g.held)
		<-g.release
		return true
	default:
		return false
	}
}

// loadBehind runs a loader with the gate.
func (w *world) loadBehind(g *gate) *loader {
	return w.load(func(o *Options) { o.Fault = g.fault })
}

// holding waits until one batch is held and the next one has as many rows.
func (g *gate) holding(t *testing.T, l *loader, rows int) {
	t.Helper()
	<-g.held
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.inFlight != nil && l.builder.batch.rows >= rows
	}, 20*time.Second, 5*time.Millisecond)
}

// TestBaseInBatchBefore: a record without its unchanged columns whose base is in the batch that is being inserted is
// completed from there.
func TestBaseInBatchBefore(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "before")
	g := newGate(cdc.FaultBeforeInsert)
	l := w.loadBehind(g)
	w.wait()
	g.shut <- struct{}{}
	w.begin().insert(tab, "1", "0", "in the batch before", "{paid}", "1.25").commit()
	<-g.held
	w.begin().update(tab, "1", "1", `\U`, `\U`, `\U`).update(tab, "1", "2", `\U`, `\U`, "7").commit()
	g.holding(t, l, 2)
	before := w.complete("").LSN
	w.idle()
	require.Equal(t, before, w.complete("").LSN)
	close(g.release)
	w.wait()
	require.Equal(t, []string{"1\t2\tin the batch before\t['paid']\t7\t{}"}, w.query("SELECT * FROM DB.before"))
	require.True(t, w.complete("").Exact)
}

// TestStopWithTwoBatches: a loader that ends while one batch is inserted and the next one is built leaves nothing wrong
// in ClickHouse, wherever the insert is, and its successor makes everything complete.
func TestStopWithTwoBatches(t *testing.T) {
	for _, point := range []string{cdc.FaultBeforeInsert, cdc.FaultInInsert, cdc.FaultAfterInsert} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			tab, other := wide(w, "first"), twoColumns(w, "second")
			g := newGate(point)
			l := w.loadBehind(g)
			w.wait()
			g.shut <- struct{}{}
			w.begin().insert(tab, "1", "0", "kept", "{}", "1").insert(other, "1", "a").insert(other, "2", "hidden").commit()
			<-g.held
			w.begin().update(tab, "1", "1", `\U`, `\U`, `\U`).truncate(other).insert(other, "3", "c").commit()
			g.holding(t, l, 2)
			before := w.complete("").LSN
			l.cancel()
			close(g.release)
			l.stop(t)
			require.Equal(t, before, w.complete("").LSN)
			w.load()
			w.wait()
			require.Equal(t, []string{"1\t1\tkept"}, w.query("SELECT id, n, doc FROM DB.first"))
			require.Equal(t, []string{"3\tc"}, w.query("SELECT * FROM DB.second"))
			require.True(t, w.complete("").Exact)
		})
	}
}

// TestTruncateInNextBatch: a TRUNCATE that was taken while the batch before is inserted does not hide that batch's
// bases: they are visible, and claimed, until its own batch is applied.
func TestTruncateInNextBatch(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "cut")
	w.begin().insert(tab, "1", "0", "text", "{}", "1").commit()
	g := newGate(cdc.FaultBeforeInsert)
	l := w.loadBehind(g)
	w.wait()
	other := twoColumns(w, "other")
	w.wait()
	g.shut <- struct{}{}
	w.begin().insert(other, "1", "a").commit() // is held
	<-g.held
	w.begin().update(tab, "1", "1", `\U`, `\U`, `\U`).commit()
	g.holding(t, l, 1)
	w.begin().truncate(tab).insert(tab, "2", "2", "after", "{}", "2").commit()
	close(g.release)
	w.wait()
	require.Equal(t, []string{"2\tafter"}, w.query("SELECT id, doc FROM DB.cut"))
	require.True(t, w.complete("").Exact)
	require.Empty(t, w.query("SELECT `table` FROM "+w.rawTable("quarantine")+" WHERE leg = 'load'"))
}

// TestRebalanceWithTwoBatches: partitions leave a loader only after both of its batches are applied, so that nothing is
// loaded twice.
func TestRebalanceWithTwoBatches(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "moved")
	g := newGate(cdc.FaultBeforeInsert)
	a := w.loadBehind(g)
	w.wait()
	g.shut <- struct{}{}
	w.fill(tab, 0, 10, 10)
	<-g.held
	w.fill(tab, 10, 30, 10)
	g.holding(t, a, 20)
	b := w.load()
	require.Eventually(t, a.rebalancing.Load, 30*time.Second, 10*time.Millisecond, "the loader hears that a rebalance waits")
	close(g.release)
	w.wait()
	shares := func() bool { return a.partitions() > 0 && b.partitions() > 0 }
	require.Eventually(t, shares, 30*time.Second, 50*time.Millisecond)
	w.fill(tab, 30, 60, 10)
	w.wait()
	require.Equal(t, []string{"60"}, w.query("SELECT count() FROM DB.moved"))
	inserted := 0.0
	for _, l := range []*loader{a, b} {
		inserted += testutil.ToFloat64(l.metrics.rows.WithLabelValues("public.moved"))
	}
	require.EqualValues(t, 60, inserted)
}

// TestQuarantineWithTwoBatches: a table that is quarantined while its batch is inserted has no more rows inserted, also
// not those that were built meanwhile; other tables go on.
func TestQuarantineWithTwoBatches(t *testing.T) {
	w := newWorld(t)
	tab, other := wide(w, "lacks"), twoColumns(w, "fine")
	g := newGate(cdc.FaultBeforeInsert)
	l := w.loadBehind(g)
	w.wait()
	g.shut <- struct{}{}
	w.begin().insert(other, "0", "held").commit()
	<-g.held
	w.begin().update(tab, "7", "1", `\U`, `\U`, `\U`).commit()
	g.holding(t, l, 1)
	close(g.release)
	w.begin().insert(tab, "8", "0", "skipped", "{}", "1").insert(other, "1", "a").commit()
	w.wait()
	require.Equal(t, []string{"0\theld", "1\ta"}, w.query("SELECT * FROM DB.fine ORDER BY id"))
	require.False(t, w.complete("public.lacks").Exact)
	require.True(t, w.complete("public.fine").Exact)
	require.Equal(t, []string{fmt.Sprintf("%s\t%d", ledger.LegLoad, ledger.StateSkipping)},
		w.query("SELECT leg, open FROM "+w.rawTable("quarantine")+" FINAL WHERE leg = 'load' AND `table` = 'public.lacks'"))
}

// TestCopyInNextBatch: a copy whose last rows are in the batch that is being built is not shown before they are
// inserted.
func TestCopyInNextBatch(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "copied"), twoColumns(w, "other")
	w.begin().insert(tab, "1", "first copy").commit()
	one, two := newGate(cdc.FaultBeforeInsert), newGate(cdc.FaultBeforeInsert)
	l := w.load(func(o *Options) {
		o.Fault = func(point string) {
			if !one.waits(point) {
				two.fault(point)
			}
		}
	})
	w.wait()
	one.shut <- struct{}{}
	w.begin().insert(other, "1", "a").commit()
	<-one.held
	x := w.begin().open(tab)
	x.read(tab, x.snapshot(), "1", "second copy").end(tab, x.snapshot()).commit()
	one.holding(t, l, 1)
	two.shut <- struct{}{}
	close(one.release)
	<-two.held
	require.Equal(t, []string{"1\tfirst copy"}, w.query("SELECT * FROM DB.copied"))
	require.False(t, w.complete("public.copied").Exact, "the open is in ClickHouse before the rows")
	close(two.release)
	w.wait()
	w.eventually([]string{"1\tsecond copy"}, "SELECT * FROM DB.copied")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 50*time.Millisecond)
}
