package clickhouse

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// TestControlTopicDeleted: a table of which the deleted control topic had a truncate that was not loaded waits alone,
// and complete_up_to does not pass it, until a newer copy is open; others go on, also over a truncate in the new topic.
func TestControlTopicDeleted(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "lacks"), twoColumns(w, "other")
	w.begin().insert(tab, "1", "a").insert(other, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	w.begin().truncate(tab).insert(tab, "2", "b").commit()
	w.dropControls()
	w.begin().truncate(other).insert(other, "2", "b").commit()
	l = w.load()
	w.eventually([]string{"2\tb"}, "SELECT * FROM DB.other")
	require.Eventually(t, func() bool { return strings.Contains(l.LastError(), cdc.ResnapshotAllCommand) }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.lacks"))
	require.Less(t, w.complete("public.lacks").LSN, w.lsn-0x100)
	require.Less(t, w.complete("").LSN, w.lsn-0x100)

	w.copyAgain(tab, []string{"2", "b"})
	w.wait()
	w.eventually([]string{"2\tb"}, "SELECT * FROM DB.lacks")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 20*time.Millisecond)
}

// TestControlsWithoutRows: a truncate and a copy of a table to which no row comes are applied, and complete_up_to waits
// for them; so they are by a loader that comes later.
func TestControlsWithoutRows(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "empties")
	w.begin().insert(tab, "1", "a").commit()
	l := w.load()
	w.wait()
	w.begin().truncate(tab).commit()
	w.wait()
	require.Empty(t, w.query("SELECT * FROM DB.empties"))
	w.begin().insert(tab, "2", "b").commit()
	w.wait()
	l.stop(t)
	w.begin().truncate(tab).commit()
	l = w.load()
	w.wait()
	require.Empty(t, w.query("SELECT * FROM DB.empties"))
	x := w.begin().open(tab)
	x.end(tab, x.snapshot()).commit()
	w.wait()
	require.Eventually(t, func() bool { return w.complete("public.empties").Exact }, 20*time.Second, 20*time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, tab.gen, l.topics[tab.topic.Name].Shown)
}

// TestTransactionLeftOpen: while a transaction stays open on the control topic, as a capture leaves one that dies
// inside it, only two tables wait: one whose rows are not looked into, since what it skips might be a newer copy, and
// one that has records of a writer of whom nothing is known. They go on by themselves.
func TestTransactionLeftOpen(t *testing.T) {
	w := newWorld(t)
	sick, strange, other := twoColumns(w, "skipped"), twoColumns(w, "strange"), twoColumns(w, "other")
	opened := *sick
	w.load()
	w.wait()
	x := w.begin()
	sick.gen-- // an open that comes twice
	x.open(sick).commit()
	w.waysOut("public.skipped", cdc.ResnapshotCommand("public.skipped")+", or "+cdc.ResnapshotAllCommand)
	sick.gen, sick.number = opened.gen, opened.number

	w.leaveOpen(true)
	w.foreignProducer(w.prefix+".foreign", &kgo.Record{Topic: strange.topic.Name, Key: []byte("by whom?")})
	w.begin().insert(sick, "1", "not in the view").insert(other, "1", "a").commit()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.other")
	w.noticed("open", ledger.NoticeWaits+" public.skipped", ledger.NoticeWaits+" public.strange")
	want := w.lsn
	require.Eventually(t, func() bool { return w.complete("public.other").LSN >= want }, 20*time.Second, 20*time.Millisecond)
	require.Less(t, w.complete("").LSN, want)
	w.leaveOpen(false)
	w.copyAgain(sick, []string{"1", "copied"})
	w.wait()
	w.eventually([]string{"1\tcopied"}, "SELECT * FROM DB.skipped")
	w.noticed("closed", ledger.NoticeForeign+ledger.NoticeKind(" "+strange.topic.Name))
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 20*time.Millisecond)
}

// TestAddedPartitions: partitions that somebody adds to the topic of a table, or to the progress topic, hold nobody up
// and change nothing, while load runs and while it is down, also for a copy that is loaded then.
func TestAddedPartitions(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "widened"), twoColumns(w, "other")
	add := func(topics ...string) {
		t.Helper()
		answers, err := w.admin.CreatePartitions(w.ctx, 1, topics...)
		require.NoError(t, err)
		require.NoError(t, answers.Error())
	}
	hasAdded := func(l *loader, partitions int) {
		t.Helper()
		require.Eventually(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.topics[tab.topic.Name] != nil && len(l.topics[tab.topic.Name].Parts) == partitions
		}, 20*time.Second, 20*time.Millisecond)
	}
	round := func(n string) {
		t.Helper()
		w.begin().insert(tab, n, "later").insert(other, n, "a").commit()
		w.wait()
		w.copyAgain(tab, []string{n, "copied"})
		w.begin().insert(tab, n+"1", "after").commit()
		w.wait()
		w.eventually([]string{n + "\tcopied", n + "1\tafter"}, "SELECT * FROM DB.widened ORDER BY id")
		require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 20*time.Millisecond)
	}
	l := w.load()
	w.wait()
	for range 20 {
		w.idle()
	}
	add(tab.topic.Name, schemas.ProgressTopic(w.prefix))
	hasAdded(l, int(tab.topic.Partitions)+1)
	round("1")
	l.stop(t)
	add(tab.topic.Name, schemas.ProgressTopic(w.prefix))
	l = w.load()
	hasAdded(l, int(tab.topic.Partitions)+2)
	round("2")
	l.stop(t)
	w.load()
	w.begin().insert(other, "3", "a").commit()
	w.wait()
}
