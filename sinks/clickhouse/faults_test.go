package clickhouse

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// fill commits transactions of many rows, ids from..to.
func (w *world) fill(tab *sourceTable, from, to, perTx int) {
	for i := from; i < to; {
		x := w.begin()
		for ; i < to && len(x.chunk.Records) < perTx; i++ {
			x.insert(tab, fmt.Sprint(i), "v"+fmt.Sprint(i))
		}
		x.commit()
	}
}

// TestReplay loads the whole log twice, during updates and deletes: nothing changes.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "twice")
	w.fill(tab, 0, 100, 40)
	w.begin().update(tab, "7", "seven").delete(tab, "8", `\N`).commit()
	w.begin().delete(tab, "9", `\N`).insert(tab, "9", "again").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	const sum = "SELECT count(), sum(cityHash64(id, v)), anyIf(v, id = 9) FROM DB.twice"
	before := w.query(sum)
	require.NoError(t, w.conn.Exec(w.ctx, "TRUNCATE TABLE "+schemas.ClickHouseIdent(w.database+"_raw")+".applied"))
	l = w.load()
	w.idle()
	w.wait()
	require.Equal(t, before, w.query(sum))
	require.Contains(t, before[0], "99\t")
	l.stop(t)
}

// TestRestart goes on from the applied offsets: a second session inserts only what is new.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "again")
	w.fill(tab, 0, 500, 100)
	l := w.load()
	w.wait()
	l.stop(t)
	w.fill(tab, 500, 507, 100)
	l = w.load()
	w.wait()
	require.Equal(t, []string{"507"}, w.query("SELECT count() FROM DB.again"))
	require.EqualValues(t, 7, testutil.ToFloat64(l.metrics.rows.WithLabelValues("public.again")))
}

// TestIdleTables: a table without changes is complete as far as everything, and one that lags holds back only itself
// and the total.
func TestIdleTables(t *testing.T) {
	w := newWorld(t)
	idle, busy := twoColumns(w, "idle"), twoColumns(w, "busy")
	w.begin().insert(idle, "1", "a").commit()
	var block atomic.Bool
	release := make(chan struct{})
	held := make(chan struct{}, 1)
	l := w.load(func(o *Options) {
		o.Fault = func(point string) {
			if point == cdc.FaultBeforeInsert && block.Load() {
				held <- struct{}{}
				<-release
				block.Store(false)
			}
		}
	})
	w.wait()
	before := w.complete("public.busy").LSN
	block.Store(true)
	w.begin().insert(busy, "1", "a").commit()
	<-held
	w.idle()
	require.Equal(t, before, w.complete("").LSN, "nothing may claim the change that is not inserted")
	close(release)
	w.wait()
	require.Equal(t, w.complete("").LSN, w.complete("public.idle").LSN)
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.busy"))
	l.stop(t)
}

// TestTwoLoaders share the partitions; what is complete counts both, and one takes over from the other.
func TestTwoLoaders(t *testing.T) {
	w := newWorld(t)
	one := w.table("one", 6, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
	two := w.table("two", 6, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
	a, b := w.load(), w.load()
	w.fill(one, 0, 3000, 500)
	w.fill(two, 0, 3000, 500)
	w.wait()
	shares := func() bool { return a.partitions() > 0 && b.partitions() > 0 }
	require.Eventually(t, shares, 30*time.Second, 50*time.Millisecond)
	w.fill(one, 3000, 6000, 500)
	x := w.begin().open(two)
	x.read(two, x.snapshot(), "1", "copied").end(two, x.snapshot()).commit()
	w.wait()
	require.Equal(t, []string{"6000"}, w.query("SELECT count() FROM DB.one"))
	w.eventually([]string{"1\tcopied"}, "SELECT * FROM DB.two")
	a.stop(t)
	w.fill(one, 6000, 9000, 500)
	w.wait()
	require.Equal(t, []string{"9000"}, w.query("SELECT count() FROM DB.one"))
	require.True(t, w.complete("").Exact)
}

// TestTopicChanged: a table's topic that was deleted and made again without a copy is that table's trouble alone.
func TestTopicChanged(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "remade"), twoColumns(w, "other")
	w.begin().insert(tab, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	_, err := w.admin.DeleteTopics(w.ctx, tab.topic.Name)
	require.NoError(t, err)
	w.createTopic(tab.topic.Name, 3, false)
	w.load()
	w.begin().insert(other, "1", "a").commit()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.other")
	w.waysOut("public.remade", cdc.ResnapshotCommand("public.remade"))
}

// TestReplayHorizon: a loader that was away for longer than the horizon refuses to go on (rule 10); one that has
// nothing to catch up with does not, however long ago that was.
func TestReplayHorizon(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "late")
	short := func(o *Options) { o.ReplayHorizon = 300 * time.Millisecond }
	w.begin().insert(tab, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	<-time.After(400 * time.Millisecond) // the horizon is time
	l = w.load(short)
	require.Eventually(t, func() bool { return l.partitions() == 4 }, 30*time.Second, 5*time.Millisecond) // the progress topic's, too
	w.begin().insert(tab, "1", "b").commit()
	w.wait()
	w.eventually([]string{"1\tb"}, "SELECT * FROM DB.late")
	l.stop(t)
	w.begin().insert(tab, "1", "c").commit()
	<-time.After(400 * time.Millisecond) // as above
	l = w.load(short)
	w.wait()
	w.waysOut("public.late", cdc.ResnapshotCommand("public.late"))
}

func receive(t *testing.T, from <-chan error) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("nothing happened")
		return nil
	}
}

// TestUnreadable: a record that cannot be read, or that has another table's schema, quarantines its table with a reason
// that holds no value.
func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	bad, swapped, good := twoColumns(w, "bad"), twoColumns(w, "swapped"), twoColumns(w, "good")
	w.begin().insert(bad, "1", "a").commit()
	x := w.begin().insert(bad, "2", "secret").insert(swapped, "1", "secret").insert(good, "1", "a")
	records := x.records()
	records[0].Value = records[0].Value[:len(records[0].Value)-7]
	copy(records[1].Value[1:5], records[2].Value[1:5]) // the same columns, of another table
	w.produce(records, true)
	w.load()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.good"))
	require.False(t, w.complete("public.bad").Exact)
	require.False(t, w.complete("public.swapped").Exact)
	require.Equal(t, []string{"0"}, w.query("SELECT sum(rows) FROM system.parts WHERE database = '"+w.database+"_raw' AND table LIKE 'swapped%'"))
	require.True(t, w.complete("public.good").Exact)
	reason := w.query("SELECT reason FROM " + schemas.ClickHouseIdent(w.database+"_raw") + ".quarantine FINAL WHERE leg = 'load' ORDER BY `table`")
	require.Len(t, reason, 2)
	require.NotContains(t, strings.Join(reason, ""), "secret")
}

// TestChangedContract: columns that change within a generation quarantine the table.
func TestChangedContract(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "altered")
	w.begin().insert(tab, "1", "a").commit()
	tab.rel.Columns = append(tab.rel.Columns, plainColumn("more", schemas.KindInt4, false))
	var err error
	tab.table, err = schemas.NewTable(tab.rel, tab.topic.Name, keepAll{})
	require.NoError(t, err)
	tab.compile()
	w.begin().insert(tab, "2", "b", "3").commit()
	w.load()
	w.wait()
	require.False(t, w.complete("public.altered").Exact)
	require.Contains(t, w.query("SELECT reason FROM " + schemas.ClickHouseIdent(w.database+"_raw") + ".quarantine FINAL WHERE leg = 'load'")[0], "columns changed")
	x := w.begin().open(tab)
	x.read(tab, x.snapshot(), "2", "b", "3").end(tab, x.snapshot()).commit()
	w.wait()
	w.eventually([]string{"2\tb\t3"}, "SELECT * FROM DB.altered")
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
}

// TestCaptureQuarantine: what capture says of a table shows in complete_up_to, and goes away with it.
func TestCaptureQuarantine(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "sick")
	w.tables["public.sick"] = cdc.TableProgress{Phase: cdc.TableQuarantined, Reason: "a value cannot be decoded", Generation: 1}
	w.begin().insert(tab, "1", "a").commit()
	w.load()
	w.wait()
	w.eventually([]string{"0"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = 'public.sick'")
	w.eventually([]string{"capture\ta value cannot be decoded"}, "SELECT leg, reason FROM "+schemas.ClickHouseIdent(w.database+"_raw")+".quarantine FINAL")
	w.tables["public.sick"] = cdc.TableProgress{Phase: cdc.TableStreaming, Generation: 1}
	w.idle()
	w.wait()
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = 'public.sick'")
	w.tables["public.sick"] = cdc.TableProgress{Phase: cdc.TableExcluded, Generation: 1}
	w.idle()
	w.wait()
	w.eventually([]string{"\t1"}, "SELECT `table`, exact FROM DB.complete_up_to")
}

// TestTombstone deletes although the `d` was compacted away.
func TestTombstone(t *testing.T) {
	w := newWorld(t)
	tab := w.table("compacted", 1, cdc.IdentityDefault, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindInt4, false)).live()
	require.True(t, tab.topic.Compacted)
	w.begin().insert(tab, "1", "10").insert(tab, "2", "20").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	x := w.begin().delete(tab, "1", `\N`)
	records := x.records()
	require.Len(t, records, 2)
	require.Nil(t, records[1].Value)
	w.produce(records[1:], true)
	w.load()
	w.wait()
	require.Equal(t, []string{"2\t20"}, w.query("SELECT * FROM DB.compacted"))
}

// TestClickHouseKilled in the middle of an insert, between rows and offsets, and at random: nothing is lost or doubled.
func TestClickHouseKilled(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "survivor")
	var kills sync.Map
	l := w.load(func(o *Options) {
		o.BatchRows = 20_000
		o.Fault = func(point string) {
			if point != cdc.FaultInInsert && point != cdc.FaultAfterInsert {
				return
			}
			if _, done := kills.LoadOrStore(point, true); done {
				return
			}
			if err := stack.Get(t).ClickHouse.Kill(); err != nil {
				panic(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := stack.Get(t).ClickHouse.Restart(ctx); err != nil {
				panic(err)
			}
		}
	})
	w.fill(tab, 0, 60_000, 10_000)
	w.wait()
	require.Equal(t, []string{"60000\t60000"}, w.query("SELECT count(), uniqExact(id) FROM DB.survivor"))
	for _, point := range []string{cdc.FaultInInsert, cdc.FaultAfterInsert} {
		_, hit := kills.Load(point)
		require.True(t, hit, point)
	}
	require.Eventually(t, func() bool { return l.LastError() == "" }, 10*time.Second, 20*time.Millisecond)
}

// TestStorageDropped: a table whose storage was dropped is quarantined; the others go on, and a new copy brings it
// back.
func TestStorageDropped(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "gone"), twoColumns(w, "there")
	w.begin().insert(tab, "1", "a").commit()
	w.load()
	w.wait()
	require.NoError(t, w.conn.Exec(w.ctx, "DROP TABLE "+schemas.ClickHouseIdent(w.database+"_raw")+".gone__g1 SYNC"))
	w.begin().insert(tab, "2", "a").insert(other, "1", "a").commit()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.there"))
	require.False(t, w.complete("public.gone").Exact)
	x := w.begin().open(tab)
	x.read(tab, x.snapshot(), "2", "a").end(tab, x.snapshot()).commit()
	w.wait()
	w.eventually([]string{"2\ta"}, "SELECT * FROM DB.gone")
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
}

// TestAbandoned: a loader that ends at any point between insert and offsets leaves nothing that the next one cannot
// put right.
func TestAbandoned(t *testing.T) {
	for _, point := range []string{cdc.FaultBeforeInsert, cdc.FaultInInsert, cdc.FaultAfterInsert} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			tab := twoColumns(w, "abandoned")
			w.fill(tab, 0, 1000, 100)
			ctx, cancel := context.WithCancel(context.Background())
			o := w.options()
			o.Fault = func(p string) {
				if p == point {
					cancel()
				}
			}
			l, err := New(o)
			require.NoError(t, err)
			require.NoError(t, l.Run(ctx))
			require.Equal(t, []string{"0"}, w.query("SELECT countIf(next > 0) FROM "+schemas.ClickHouseIdent(w.database+"_raw")+".applied"))
			w.load()
			w.wait()
			require.Equal(t, []string{"1000\t1000"}, w.query("SELECT count(), uniqExact(id) FROM DB.abandoned"))
		})
	}
}

// TestMemory loads a backlog far larger than the bound: the heap stays below it.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	tab := w.table("backlog", 6, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
	const rows, width, bound = 150_000, 2048, 64 << 20
	pad := strings.Repeat("x", width)
	for i := 0; i < rows; {
		x := w.begin()
		for ; i < rows && len(x.chunk.Records) < 10_000; i++ {
			x.insert(tab, fmt.Sprint(i), pad)
		}
		x.commit()
	}
	grown := heapGrowth()
	w.load(func(o *Options) { o.MemoryBytes = bound; o.Kafka = append(o.Kafka, kgo.ClientID("memory")) })
	w.wait()
	grew := grown()
	require.Equal(t, []string{fmt.Sprintf("%d\t%d", rows, rows*width)}, w.query("SELECT count(), sum(length(v)) FROM DB.backlog"))
	require.Less(t, grew, uint64(bound), "heap grew by %d MB", grew>>20)
	t.Logf("heap grew by %d MB at most, bound %d MB, backlog %d MB", grew>>20, bound>>20, rows*width>>20)
}

// heapGrowth watches the heap; stop gives by how much it grew at most.
func heapGrowth() (stop func() uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, peak := m.HeapAlloc, m.HeapAlloc
	stopped, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-stopped:
				tick.Stop()
				return
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	return func() uint64 {
		close(stopped)
		<-watched
		return peak - base
	}
}
