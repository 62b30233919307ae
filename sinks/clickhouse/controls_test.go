package clickhouse

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
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
