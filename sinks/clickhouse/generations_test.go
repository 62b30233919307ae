package clickhouse

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// eventually waits until a query gives the rows.
func (w *world) eventually(want []string, sql string) {
	w.t.Helper()
	var got []string
	require.Eventually(w.t, func() bool {
		var err error
		got, err = w.tryQuery(sql)
		return err == nil && equalStrings(want, got)
	}, 30*time.Second, 20*time.Millisecond, "%s: want %q, got %q", sql, want, &got)
}

func equalStrings(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestGenerations: a copy that was killed before its end is superseded, the second one swaps in when it ended on every
// partition, changes below its cut are ignored there, and a later copy removes rows without a delete.
func TestGenerations(t *testing.T) {
	w := newWorld(t)
	tab := w.table("g", 3, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false))
	l := w.load()
	x := w.begin().open(tab)
	x.read(tab, x.snapshot(), "1", "first").read(tab, x.snapshot(), "2", "first").commit() // killed here
	w.wait()
	require.False(t, w.complete("public.g").Exact)
	require.False(t, w.complete("").Exact)
	_, err := w.tryQuery("SELECT * FROM DB.g")
	require.Error(t, err, "there is no view before the first complete copy")

	w.begin().open(tab).commit()
	early := w.begin().update(tab, "1", "changed").insert(tab, "3", "new").delete(tab, "2", `\N`)
	w.lsn += 0x1000 // the second snapshot comes after those changes
	cut := cdc.Position{Epoch: 1, CommitLSN: w.lsn}
	w.begin().read(tab, cut, "1", "changed").read(tab, cut, "3", "new").commit()
	w.begin().end(tab, cut).commit()
	early.commit() // published after the end, below the cut
	w.wait()
	w.eventually([]string{"1\tchanged", "3\tnew"}, "SELECT * FROM DB.g ORDER BY id")
	w.eventually([]string{"g__g2"}, "SELECT name FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(w.database+"_raw")+" AND name LIKE 'g\\_\\_%'")
	require.True(t, w.complete("public.g").Exact)
	require.Equal(t, []string{"0"}, w.query("SELECT countIf(_version < "+ledger.Version(cut).String()+") FROM "+schemas.ClickHouseIdent(w.database+"_raw")+".g__g2"))

	w.begin().insert(tab, "4", "live").commit()
	x = w.begin().open(tab)
	third := x.snapshot()
	x.read(tab, third, "1", "third").commit()
	w.begin().update(tab, "3", "still shown").insert(tab, "5", "both").commit()
	w.wait()
	require.Equal(t, []string{"1\tchanged", "3\tstill shown", "4\tlive", "5\tboth"}, w.query("SELECT * FROM DB.g ORDER BY id"))
	w.begin().end(tab, third).commit()
	w.wait()
	w.eventually([]string{"1\tthird", "3\tstill shown", "5\tboth"}, "SELECT * FROM DB.g ORDER BY id")
	w.eventually([]string{"g__g3"}, "SELECT name FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(w.database+"_raw")+" AND name LIKE 'g\\_\\_%'")
	l.stop(t)
}

// TestSwapAfterRestart: a loader that finds a complete generation without a view, and no new record, makes the view.
func TestSwapAfterRestart(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "quiet")
	w.begin().insert(tab, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	require.NoError(t, w.conn.Exec(w.ctx, "DROP VIEW "+schemas.ClickHouseIdent(w.database)+".quiet"))
	l = w.load()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.quiet")
	l.stop(t)
	const made = "SELECT toString(uuid) FROM system.tables WHERE name = 'quiet' AND database = "
	before := w.query(made + schemas.ClickHouseLiteral(w.database))
	l = w.load()
	w.idle()
	w.wait()
	require.Equal(t, before, w.query(made+schemas.ClickHouseLiteral(w.database)), "a view that shows the newest generation is left alone")
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, uint32(1), l.topics[tab.topic.Name].Shown)
}

// TestTruncate: rows below the cut are gone whatever partition they come through, and rows after it stay.
func TestTruncate(t *testing.T) {
	w := newWorld(t)
	tab := w.table("cutoff", 4, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
	x := w.begin()
	for _, id := range []string{"1", "2", "3", "4", "5", "6"} {
		x.insert(tab, id, "old")
	}
	x.commit()
	late := w.begin().insert(tab, "7", "below the cut")
	w.begin().truncate(tab).insert(tab, "2", "new").insert(tab, "8", "new").commit()
	late.commit() // of lower version, through another partition's end
	w.load()
	w.wait()
	require.Equal(t, []string{"2\tnew", "8\tnew"}, w.query("SELECT * FROM DB.cutoff ORDER BY id"))
	require.Equal(t, []string{"8\tnew"}, w.query("SELECT * FROM DB.cutoff WHERE id = 8"))
	require.NoError(t, w.conn.Exec(w.ctx, "SELECT 1"))
	ctx := context.Background()
	rows, err := w.conn.Query(ctx, "SELECT count() FROM "+schemas.ClickHouseIdent(w.database)+".cutoff SETTINGS aggregate_functions_null_for_empty = 1, join_use_nulls = 1")
	require.NoError(t, err)
	require.True(t, rows.Next())
	var n uint64
	require.NoError(t, rows.Scan(&n))
	require.Equal(t, uint64(2), n)
	require.NoError(t, rows.Close())
	w.begin().truncate(tab).commit()
	w.wait()
	require.Empty(t, w.query("SELECT * FROM DB.cutoff"))
}

// TestLeafTruncate: a cut of one partition of the source's table leaves the other partitions' rows alone.
func TestLeafTruncate(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "leaves")
	x := w.begin()
	for i, id := range []string{"1", "2"} {
		m := x.meta(tab)
		m.Leaf = uint32(100 + i)
		require.NoError(t, tab.enc.Append(t.Context(), &x.chunk, m, cdc.RowChange{Op: cdc.OpCreate, New: tuple(id, "old")}))
	}
	m := x.meta(tab)
	m.Leaf = 100
	x.control(tab, m, cdc.ControlTruncate).commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"2\told"}, w.query("SELECT * FROM DB.leaves"))
}

// TestLateView: a view of an older generation, put in place by a loader that was late, refuses to answer, and any
// loader puts the newer one back, as it does with a view that was dropped.
func TestLateView(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "late")
	w.begin().insert(tab, "1", "old").commit()
	l := w.load()
	w.wait()
	late := w.query("SELECT create_table_query FROM system.tables WHERE name = 'late' AND database = " + schemas.ClickHouseLiteral(w.database))[0]
	late = strings.ReplaceAll(strings.Replace(late, "CREATE VIEW", "CREATE OR REPLACE VIEW", 1), `\'`, `'`)
	x := w.begin().open(tab)
	cut := x.snapshot()
	x.read(tab, cut, "1", "new").end(tab, cut).commit()
	w.wait()
	w.eventually([]string{"1\tnew"}, "SELECT * FROM DB.late")
	w.eventually([]string{"late__g2"}, "SELECT name FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(w.database+"_raw")+" AND name LIKE 'late\\_\\_%'")
	l.stop(t)

	require.NoError(t, w.conn.Exec(w.ctx, "CREATE TABLE "+schemas.ClickHouseIdent(w.database+"_raw")+".late__g1 AS "+schemas.ClickHouseIdent(w.database+"_raw")+".late__g2"))
	require.NoError(t, w.conn.Exec(w.ctx, late))
	_, err := w.tryQuery("SELECT * FROM DB.late")
	require.Equal(t, proto.ErrFunctionThrowIfValueIsNonZero, errcode.Of(err), "it is being replaced")
	l = w.load()
	w.eventually([]string{"1\tnew"}, "SELECT * FROM DB.late")
	for _, done := range []string{late, "DROP VIEW " + schemas.ClickHouseIdent(w.database) + ".late"} {
		require.NoError(t, w.conn.Exec(w.ctx, done))
		w.eventually([]string{"1\tnew"}, "SELECT * FROM DB.late")
	}
	l.stop(t)
}
