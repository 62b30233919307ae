package clickhouse

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// stopsWith runs a loader that must stop by itself.
func (w *world) stopsWith(t *testing.T, is error, change ...func(*Options)) []cdc.Remedy {
	w.t.Helper()
	l := w.load(change...)
	err := receive(t, l.done)
	require.ErrorIs(w.t, err, is)
	require.Contains(w.t, cdc.Explain(err).Try, cdc.Remedy{Command: cdc.ResnapshotAllCommand})
	require.NotContains(w.t, err.Error(), "\n")
	close(l.done)
	return cdc.Explain(err).Try
}

// loseLog drops all records of the table's topic.
func (w *world) loseLog(tab *sourceTable) {
	w.t.Helper()
	ends, err := w.admin.ListEndOffsets(w.ctx, tab.topic.Name)
	require.NoError(w.t, err)
	_, err = w.admin.DeleteRecords(w.ctx, ends.Offsets())
	require.NoError(w.t, err)
}

// TestGapIsHealedByANewCopy: records of one table that Kafka dropped before they were loaded quarantine that table
// alone, also where an older copy follows them; a newer copy puts it right.
func TestGapIsHealedByANewCopy(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "healed").live(), twoColumns(w, "other")
	w.begin().insert(tab, "1", "kept").insert(tab, "2", "deleted in the gap").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	w.begin().delete(tab, "2", `\N`).commit()
	w.loseLog(tab)
	w.begin().insert(tab, "3", "after the gap").insert(other, "1", "a").commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.other"))
	require.Equal(t, []string{"1\tkept", "2\tdeleted in the gap"}, w.query("SELECT * FROM DB.healed ORDER BY id"))
	w.waysOut("public.healed", cdc.ResnapshotCommand("public.healed"))

	newest := tab.gen
	tab.gen = 0
	w.copyAgain(tab, []string{"9", "an older copy"})
	w.wait()
	require.False(t, w.complete("public.healed").Exact)
	tab.gen = newest
	w.copyAgain(tab, []string{"1", "kept"}, []string{"3", "after the gap"})
	w.begin().update(tab, "3", "changed").commit()
	w.wait()
	w.eventually([]string{"1\tkept", "3\tchanged"}, "SELECT * FROM DB.healed ORDER BY id")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 10*time.Second, 20*time.Millisecond)
}

// TestLostCount: a capture that has lost its state begins with the first generation again. Nothing of that copy counts,
// and the others go on, until a copy is opened that is newer than all.
func TestLostCount(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "recounted").live(), twoColumns(w, "other")
	w.begin().insert(tab, "1", "kept").insert(tab, "2", "deleted while nobody captured").commit()
	l := w.load()
	w.wait()
	newest := tab.gen
	tab.gen, w.full, w.lsn = 0, true, w.lsn+0x10000
	w.copyAgain(tab, []string{"1", "kept"}, []string{"3", "inserted while nobody captured"})
	w.begin().update(tab, "1", "changed").insert(other, "1", "a").commit()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.other"))
	w.waysOut("public.recounted", cdc.ResnapshotAllCommand)
	require.Equal(t, []string{"1\tkept", "2\tdeleted while nobody captured"}, w.query("SELECT * FROM DB.recounted ORDER BY id"))
	l.stop(t)

	tab.gen, w.epoch, w.full = newest, 2, true // as resnapshot --all does
	w.copyAgain(tab, []string{"1", "changed"}, []string{"3", "inserted while nobody captured"})
	w.begin().insert(tab, "4", "later").commit()
	w.load()
	w.waitEpoch(2)
	w.eventually([]string{"1\tchanged", "3\tinserted while nobody captured", "4\tlater"}, "SELECT * FROM DB.recounted ORDER BY id")
	require.True(t, w.complete("public.recounted").Exact)
}

// TestRenewedTopics: where Kafka is another one, or was rebuilt, load stops; back at the former one it goes on as
// before, and under a later epoch with the new topics of the same names, and the former storage is dropped.
func TestRenewedTopics(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "renewed").live()
	forgotten := twoColumns(w, "forgotten").live()
	w.begin().insert(tab, "1", "former").insert(forgotten, "1", "former").commit()
	w.quarantined(tab, "a reason of the former cluster", 5)
	l := w.load()
	w.wait()
	l.stop(t)
	require.False(t, w.complete("").Exact)
	elsewhere, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(elsewhere.Close)
	ways := w.stopsWith(t, ErrTopicChanged, func(o *Options) { o.Kafka = []kgo.Opt{kgo.SeedBrokers(elsewhere.ListenAddrs()...)} })
	require.Equal(t, "connect to the former cluster", ways[0].Command)
	w.begin().insert(forgotten, "2", "former").commit()
	l = w.load()
	w.eventually([]string{"1\tformer", "2\tformer"}, "SELECT * FROM DB.forgotten ORDER BY id")
	l.stop(t)
	all := []string{tab.topic.Name, forgotten.topic.Name, schemas.ProgressTopic(w.prefix)}
	_, err = w.admin.DeleteTopics(w.ctx, all...)
	require.NoError(t, err)
	w.createTopic(tab.topic.Name, tab.topic.Partitions, false)
	w.createTopic(schemas.ProgressTopic(w.prefix), 1, false)
	w.connect() // the former client knows the former topics
	w.known, w.offsets, w.full = map[string]map[string]int64{}, map[string]map[string]int64{}, true
	w.begin().insert(tab, "2", "by somebody who did not choose").commit()
	w.stopsWith(t, ErrTopicChanged)

	w.epoch, w.lsn, w.full = 2, 0x500, true // the restored source is at an earlier LSN, too
	x := w.begin().open(tab)
	w.tables["public.renewed"] = cdc.TableProgress{Phase: cdc.TableStreaming, Generation: tab.gen}
	x.commit()
	w.begin().read(tab, x.snapshot(), "3", "copied").commit()
	w.begin().end(tab, x.snapshot()).commit()
	w.begin().insert(tab, "4", "later").commit()
	l = w.load()
	w.waitEpoch(2)
	w.eventually([]string{"3\tcopied", "4\tlater"}, "SELECT * FROM DB.renewed ORDER BY id")
	require.True(t, w.complete("").Exact, "the former quarantine is outranked")
	require.Equal(t, "absent", w.complete("public.forgotten").Table, "capture has lost it")
	require.Eventually(t, func() bool {
		return len(w.query("SELECT name FROM system.tables WHERE database = '"+w.database+"_raw' AND startsWith(name, 'renewed__g') AND name != 'renewed__g"+strconv.Itoa(int(tab.gen))+"'")) == 0
	}, 20*time.Second, 50*time.Millisecond, "the former storage is dropped")
	l.stop(t)
	w.begin().insert(tab, "5", "after a restart").commit()
	w.load()
	w.waitEpoch(2)
	w.eventually([]string{"3\tcopied", "4\tlater", "5\tafter a restart"}, "SELECT * FROM DB.renewed ORDER BY id")
}

// quarantined says that capture has the table in quarantine, after some progress records.
func (w *world) quarantined(tab *sourceTable, reason string, behind int) {
	for range behind {
		w.idle()
	}
	w.tables["public."+tab.rel.Name] = cdc.TableProgress{Phase: cdc.TableQuarantined, Reason: reason, Generation: tab.gen}
	w.idle()
}

// waitEpoch waits until everything produced so far is complete under an epoch.
func (w *world) waitEpoch(epoch uint32) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		got := w.complete("")
		return got.Epoch == epoch && got.LSN >= w.lsn+0x20
	}, 60*time.Second, 20*time.Millisecond)
}

// TestOtherColumns: while a table is copied again with other columns, its view does not change and is not exact,
// nothing is quarantined, whichever partition is ahead, also over a restart.
func TestOtherColumns(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "grown").live()
	w.begin().insert(tab, "1", "former").commit()
	l := w.load()
	w.wait()
	rel := *tab.rel
	rel.Columns = append(append([]schemas.Column{}, rel.Columns...), plainColumn("added", schemas.KindText, false))
	tab.rel = &rel
	var err error
	tab.table, err = schemas.NewTable(tab.rel, tab.topic.Name, keepAll{})
	require.NoError(t, err)
	tab.compile()
	x := w.begin().open(tab)
	x.commit()
	w.begin().insert(tab, "2", "x", "y").insert(tab, "3", "x", "y").insert(tab, "4", "x", "y").insert(tab, "5", "x", "y").commit()
	w.wait()
	require.False(t, w.complete("").Exact)
	require.Equal(t, []string{"1\tformer"}, w.query("SELECT * FROM DB.grown ORDER BY id"))
	l.stop(t)
	l = w.load()
	w.begin().update(tab, "2", "x", "z").commit()
	w.wait()
	w.begin().read(tab, x.snapshot(), "1", "former", `\N`).end(tab, x.snapshot()).commit()
	w.wait()
	w.eventually([]string{"1\tformer\t\\N", "2\tx\tz", "3\tx\ty", "4\tx\ty", "5\tx\ty"}, "SELECT * FROM DB.grown ORDER BY id")
	require.True(t, w.complete("").Exact)
	require.Empty(t, w.query("SELECT reason FROM "+w.database+"_raw.quarantine FINAL WHERE open = 1"))
	l.stop(t)
}

// TestAnotherPipelinesDatabase: two pipelines in one database would show one's deleted rows in the other's views.
func TestAnotherPipelinesDatabase(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "owned").live()
	w.begin().insert(tab, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	other := newWorld(t)
	other.database = w.database
	l = other.load()
	err := receive(t, l.done)
	require.ErrorIs(t, err, cdc.ErrRefused)
	close(l.done)
	w.load()
	w.begin().insert(tab, "2", "b").commit()
	w.wait()
}
