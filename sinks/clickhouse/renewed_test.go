package clickhouse

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// hasTopic reports whether the loader has partitions of a topic.
func (r *loader) hasTopic(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topics[name]
	return t != nil && len(t.Parts) > 0
}

// renew deletes the table's topic and makes it again, as capture then does: with a whole copy in it.
func (w *world) renew(tab *sourceTable, rows ...[]string) {
	w.t.Helper()
	_, err := w.admin.DeleteTopics(w.ctx, tab.topic.Name)
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		made, err := w.admin.CreateTopics(w.ctx, tab.topic.Partitions, 1, nil, tab.topic.Name)
		return err == nil && made.Error() == nil
	}, 20*time.Second, 50*time.Millisecond)
	w.connect() // the former client knows the former topic
	w.known, w.offsets, w.full = map[string]map[string]int64{}, map[string]map[string]int64{}, true
	w.copyAgain(tab, rows...)
}

// copyAgain writes a whole copy, under the table's next generation.
func (w *world) copyAgain(tab *sourceTable, rows ...[]string) {
	w.t.Helper()
	x := w.begin().open(tab)
	w.tables["public."+tab.rel.Name] = cdc.TableProgress{Phase: cdc.TableStreaming, Generation: tab.gen}
	for _, row := range rows {
		x.read(tab, x.snapshot(), row...)
	}
	x.end(tab, x.snapshot()).commit()
}

// TestRenewedTopicWithTwoLoaders: a table's topic is made again while another loader has the progress partition. What
// that one knows of the former topic's offsets says nothing of the new one's.
func TestRenewedTopicWithTwoLoaders(t *testing.T) {
	w := newWorld(t)
	tab := w.table("foreign", 1, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
	var slow atomic.Bool
	finish := make(chan struct{})
	slowly := func(o *Options) {
		o.Fault = func(point string) {
			if point == cdc.FaultBeforeInsert && slow.Load() {
				<-finish
			}
		}
	}
	progress := schemas.ProgressTopic(w.prefix)
	names := []string{"h-1", "h-2"}
	loaders := []*loader{w.load(named(names[0]), slowly), w.load(named(names[1]), slowly)}
	holder := 0
	require.Eventually(t, func() bool {
		for i := range loaders {
			if loaders[i].hasTopic(progress) && loaders[1-i].hasTopic(tab.topic.Name) && !loaders[i].hasTopic(tab.topic.Name) {
				holder = i
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond)
	for range 40 {
		w.begin().insert(tab, "1", "former").commit()
	}
	w.wait()

	w.renew(tab, []string{"1", "copied"})
	w.wait()
	w.eventually([]string{"1\tcopied"}, "SELECT * FROM DB.foreign ORDER BY id")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 30*time.Second, 50*time.Millisecond)
	require.True(t, loaders[holder].hasTopic(progress))

	slow.Store(true)
	w.begin().insert(tab, "2", "not loaded yet").commit()
	want := w.lsn
	require.Never(t, func() bool { return w.complete("public.foreign").LSN >= want || w.complete("").LSN >= want }, 2*time.Second, 50*time.Millisecond,
		"complete, and the row is not there")
	slow.Store(false)
	close(finish)
	w.wait()
	w.eventually([]string{"1\tcopied", "2\tnot loaded yet"}, "SELECT * FROM DB.foreign ORDER BY id")

	reader := holder
	if loaders[1-holder].hasTopic(tab.topic.Name) {
		reader = 1 - holder
	}
	loaders[reader].stop(t) // the other one's client may know the former topic, of which it has read nothing
	w.begin().insert(tab, "3", "taken over").commit()
	w.wait()
	w.eventually([]string{"1\tcopied", "2\tnot loaded yet", "3\ttaken over"}, "SELECT * FROM DB.foreign ORDER BY id")
}

// TestRenewedTopicWhileBehind: a table's topic is deleted while load lags, and made again. Records of before,
// which ask for offsets that the new topic does not have, hold nothing back once the newer copy is opened.
func TestRenewedTopicWhileBehind(t *testing.T) {
	for _, epoch := range []uint32{1, 2} { // of a new copy, and of resnapshot --all
		w := newWorld(t)
		tab := twoColumns(w, "behind")
		w.begin().insert(tab, "1", "former").commit()
		l := w.load()
		w.wait()
		l.stop(t)
		for range 40 {
			w.begin().insert(tab, "1", "not loaded").commit()
		}
		w.epoch = epoch
		w.renew(tab, []string{"1", "copied"})
		w.begin().insert(tab, "2", "later").commit()
		l = w.load()
		w.waitEpoch(epoch)
		w.eventually([]string{"1\tcopied", "2\tlater"}, "SELECT * FROM DB.behind ORDER BY id")
		require.True(t, w.complete("").Exact)
		l.stop(t)
	}
}

// TestGoneOfAFormerTopic: rows that were known to be missing from a former topic's copy do not keep the new one's from
// being exact.
func TestGoneOfAFormerTopic(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "goner")
	w.begin().insert(tab, "1", "former").commit()
	l := w.load()
	w.wait()
	require.NoError(t, w.conn.Exec(w.ctx, "INSERT INTO "+w.database+"_raw.gone SELECT 'public.goner', topic_id, 0, 'key', 5, 1 FROM "+w.database+"_raw.applied WHERE topic = "+schemas.ClickHouseLiteral(tab.topic.Name)+" LIMIT 1"))
	require.False(t, w.complete("").Exact)
	l.stop(t)
	w.renew(tab, []string{"1", "copied"})
	w.load()
	w.wait()
	w.eventually([]string{"1\tcopied"}, "SELECT * FROM DB.goner ORDER BY id")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 50*time.Millisecond)
}

// TestDeletedForGoodWhileBehind: capture leaves a table out and its topic is deleted, while load lags. It holds
// nothing back, and ClickHouse does not call the table exact.
func TestDeletedForGoodWhileBehind(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "left"), twoColumns(w, "stays")
	w.begin().insert(tab, "1", "loaded").insert(other, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	w.begin().insert(tab, "2", "not loaded").commit()
	w.begin().insert(other, "2", "b").commit()
	_, err := w.admin.DeleteTopics(w.ctx, tab.topic.Name)
	require.NoError(t, err)
	l = w.load()
	w.eventually([]string{"1\ta", "2\tb"}, "SELECT * FROM DB.stays ORDER BY id")
	require.Never(t, func() bool { return w.complete("").LSN >= w.lsn }, 3*time.Second, 100*time.Millisecond, "the table is not left out yet")

	w.tables["public.left"] = cdc.TableProgress{Phase: cdc.TableExcluded, Generation: 1}
	w.begin().insert(other, "3", "c").commit()
	w.wait()
	w.eventually([]string{"1\ta", "2\tb", "3\tc"}, "SELECT * FROM DB.stays ORDER BY id")
	require.False(t, w.complete("public.left").Exact)
	require.True(t, w.complete("public.stays").Exact)
	l.stop(t)
}
