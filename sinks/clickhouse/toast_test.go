package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

func wide(w *world, name string) *sourceTable {
	big := func(name string, kind schemas.Type) schemas.Column {
		return schemas.Column{Name: name, Type: kind, Toastable: true}
	}
	return w.table(name, 3, cdc.IdentityDefault, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("n", schemas.KindInt4, false),
		big("doc", plain(schemas.KindText)), big("tags", arrayOf(plain(schemas.KindEnum))), big("amount", decimalType(30, 2))).live()
}

// TestUnchanged fills unchanged columns from the batch, from storage, and with their exact texts.
func TestUnchanged(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "docs")
	w.begin().insert(tab, "1", "0", "long text", "{paid,NULL}", "1.25").insert(tab, "2", "0", "other", `\N`, "NaN").
		update(tab, "1", "1", `\U`, `\U`, `\U`).commit()
	l := w.load()
	w.wait()
	const all = "SELECT * FROM DB.docs ORDER BY id"
	require.Equal(t, []string{"1\t1\tlong text\t['paid',NULL]\t1.25\t{}", "2\t0\tother\t[]\t\\N\t{'amount':'NaN','tags':'NULL'}"}, sortedMaps(w.query(all)))
	w.begin().update(tab, "1", "2", `\U`, `\U`, "7.50").update(tab, "1", "3", `\U`, `\U`, `\U`).update(tab, "2", "9", "new", `\U`, `\U`).commit()
	w.wait()
	want := []string{"1\t3\tlong text\t['paid',NULL]\t7.5\t{}", "2\t9\tnew\t[]\t\\N\t{'amount':'NaN','tags':'NULL'}"}
	require.Equal(t, want, sortedMaps(w.query(all)))
	require.True(t, w.complete("").Exact)
	l.stop(t)

	// The same log again, from its start: nothing changes, nothing is refilled, nothing is quarantined.
	w.begin().delete(tab, "2", `\N`, `\N`, `\N`, `\N`).commit()
	l = w.load()
	w.wait()
	l.stop(t)
	require.NoError(t, w.conn.Exec(w.ctx, "TRUNCATE TABLE "+schemas.ClickHouseIdent(w.database+"_raw")+".applied"))
	l = w.load()
	w.idle()
	w.wait()
	require.Equal(t, want[:1], w.query(all))
	require.True(t, w.complete("").Exact)
	l.stop(t)
}

// sortedMaps writes map entries in one order.
func sortedMaps(lines []string) []string {
	for i, s := range lines {
		lines[i] = strings.ReplaceAll(s, "{'tags':'NULL','amount':'NaN'}", "{'amount':'NaN','tags':'NULL'}")
	}
	return lines
}

// TestManyUnchanged reads bases in several queries and blocks.
func TestManyUnchanged(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "many")
	const rows = 9_000
	x := w.begin()
	for i := range rows {
		x.insert(tab, fmt.Sprint(i), "0", fmt.Sprintf("text %d", i)+strings.Repeat(" ", 500), "{}", "1.00")
	}
	x.commit()
	w.load(func(o *Options) { o.BatchBytes = 1 << 20 }) // bases outgrow a batch
	w.wait()
	x = w.begin()
	for i := range rows {
		x.update(tab, fmt.Sprint(i), "1", `\U`, `\U`, `\U`)
	}
	x.commit()
	w.wait()
	require.Equal(t, []string{fmt.Sprintf("%d\t%d\t%d", rows, rows, rows)}, w.query("SELECT count(), countIf(n = 1), countIf(trimRight(doc) = concat('text ', toString(id)) AND amount = 1) FROM DB.many"))
}

// TestMissingBase: a record whose unchanged columns are nowhere quarantines its table and nothing else; a new copy
// lifts that.
func TestMissingBase(t *testing.T) {
	w := newWorld(t)
	tab, other := wide(w, "lost"), twoColumns(w, "fine")
	w.begin().insert(tab, "1", "0", "here", "{}", "1").commit()
	w.begin().update(tab, "7", "1", `\U`, `\U`, `\U`).insert(other, "1", "a").commit()
	l := w.load()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.fine"))
	require.False(t, w.complete("public.lost").Exact)
	require.True(t, w.complete("public.fine").Exact)
	require.False(t, w.complete("").Exact)
	require.Equal(t, []string{"0"}, w.query("SELECT exact FROM DB.complete_up_to WHERE `table` = ''"), "a condition does not hide the other tables")
	require.Equal(t, []string{"load\t1"}, w.query("SELECT leg, open FROM "+schemas.ClickHouseIdent(w.database+"_raw")+".quarantine FINAL WHERE leg = 'load' AND `table` = 'public.lost'"))
	require.EqualValues(t, 1, testutil.ToFloat64(l.metrics.quarantined))
	reason := w.query("SELECT reason FROM " + schemas.ClickHouseIdent(w.database+"_raw") + ".quarantine FINAL WHERE leg = 'load' AND `table` = 'public.lost'")
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike resnapshot public.lost"}}, cdc.ParseProblem(reason[0]).Try)
	l.stop(t)

	w.load() // the quarantine outlives the loader
	w.begin().insert(tab, "9", "0", "skipped", "{}", "1").commit()
	w.wait()
	require.Equal(t, []string{"0"}, w.query("SELECT count() FROM DB.lost WHERE id = 9"))
	x := w.begin().open(tab)
	cut := x.snapshot()
	x.read(tab, cut, "9", "0", "copied", "{}", "1").end(tab, cut).commit()
	w.begin().update(tab, "9", "5", `\U`, `\U`, `\U`).commit()
	w.wait()
	w.eventually([]string{"9\t5\tcopied"}, "SELECT id, n, doc FROM DB.lost")
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
}

// TestUnchangedBeforeEnd: in a copy that has not ended a record without its base is dropped: its row follows at a
// higher version.
func TestUnchangedBeforeEnd(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "copying")
	w.begin().open(tab).commit()
	early := w.begin().update(tab, "1", "1", `\U`, `\U`, `\U`)
	x := w.begin()
	cut := x.snapshot()
	early.at = cut
	early.at.CommitLSN -= 0x80
	early.commit()
	x.read(tab, cut, "1", "1", "whole", "{}", "2").end(tab, cut).commit()
	// The generation shown then, the first, has no base either: it is the one that is quarantined, and the second lifts
	// it.
	w.load()
	w.wait()
	w.eventually([]string{"1\t1\twhole"}, "SELECT id, n, doc FROM DB.copying")
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
}

// goneRows re-reads nothing: every row is gone.
type goneRows struct{}

func (goneRows) Reread(context.Context, uint32, uint32, cdc.Tuple, []int) (cdc.Tuple, bool, error) {
	return nil, false, nil
}

// TestGoneUntilDeleted: a create whose row was gone at the re-read is skipped, and so are later records of the key
// without their unchanged columns; the table is not exact until the key's delete comes, in the same batch or after a
// restart.
func TestGoneUntilDeleted(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t)
		tab := wide(w, "moved")
		tab.compile(goneRows{})
		w.begin().insert(tab, "1", "0", "text", "{}", "1").commit()
		x := w.begin()
		require.NoError(t, tab.enc.Append(w.ctx, &x.chunk, x.meta(tab), keyMoved()))
		x.at.Ordinal++
		x.commit()
		w.begin().update(tab, "2", "5", `\U`, `\U`, `\U`).commit()
		if restart {
			w.load()
			w.wait()
			require.False(t, w.complete("public.moved").Exact)
		}
		w.begin().delete(tab, "2", `\N`, `\N`, `\N`, `\N`).commit()
		w.begin().insert(tab, "2", "7", "new", "{}", "1").commit()
		w.load()
		w.wait()
		require.Equal(t, []string{"2\t7\tnew"}, w.query("SELECT id, n, doc FROM DB.moved"))
		w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
	}
}

// TestGone: a create whose row was gone at the re-read is skipped, and its table is not exact until a new copy.
func TestGone(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "moved")
	tab.compile(goneRows{})
	w.begin().insert(tab, "1", "0", "text", "{}", "1").commit()
	x := w.begin()
	m := x.meta(tab)
	require.NoError(t, tab.enc.Append(w.ctx, &x.chunk, m, keyMoved()))
	x.commit()
	w.begin().insert(tab, "3", "0", "loaded", "{}", "1").commit()
	l := w.load()
	w.wait()
	require.Equal(t, []string{"3\tloaded"}, w.query("SELECT id, doc FROM DB.moved"))
	require.False(t, w.complete("public.moved").Exact)
	require.Zero(t, testutil.ToFloat64(l.metrics.quarantined))

	// The copy that has the row ends on one partition after the other: the old view, which lacks it, is never called
	// exact.
	x = w.begin().open(tab)
	cut := x.snapshot()
	x.read(tab, cut, "2", "0", "copied", "{}", "1").commit()
	lags := (w.begin().update(tab, "2", "8", `\U`, `\U`, `\U`).records()[0].Partition + 1) % 3
	w.lag(tab, cut, lags)
	w.begin().update(tab, "2", "8", `\U`, `\U`, `\U`).commit() // the old generation has no base, and needs none
	w.wait()
	require.False(t, w.complete("public.moved").Exact)
	require.Zero(t, testutil.ToFloat64(l.metrics.quarantined))
	l.stop(t)
	w.load()
	w.idle()
	w.wait()
	require.False(t, w.complete("public.moved").Exact)
	w.reach(tab, lags, "2", "0", "former", "{}", "1")
	w.wait()
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE `table` = ''")
	require.Equal(t, []string{"2\t8\tcopied"}, w.query("SELECT id, n, doc FROM DB.moved"))
}

// TestFormerCopyLacksARow: after the start of a newer copy, a record without its large value may meet the former copy,
// which never had its row. That copy gets no more changes; nothing is quarantined.
func TestFormerCopyLacksARow(t *testing.T) {
	w := newWorld(t)
	big := plainColumn("v", schemas.KindText, false)
	big.Toastable = true
	tab := w.table("wide", 2, cdc.IdentityDefault, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("small", schemas.KindInt4, false), big).live()
	w.begin().insert(tab, "1", "1", "kept").commit()
	w.load()
	w.wait()
	w.epoch, w.lsn, w.full = 2, w.lsn+0x10000, true // as resnapshot --all does
	x := w.begin().open(tab)
	w.tables["public.wide"] = cdc.TableProgress{Phase: cdc.TableStreaming, Generation: tab.gen}
	x.read(tab, x.snapshot(), "1", "1", "kept").read(tab, x.snapshot(), "2", "1", "inserted behind the former slot").commit()
	y := w.begin().update(tab, "2", "2", `\U`)
	here := y.records()[0].Partition
	w.lag(tab, x.snapshot(), 1-here) // so that the view shows the former copy
	w.produce(y.records(), true)
	w.waitEpoch(2)
	w.begin().update(tab, "2", "3", "other").update(tab, "2", "4", `\U`).commit()
	w.wait()
	require.Empty(t, w.query("SELECT reason FROM "+w.database+"_raw.quarantine FINAL WHERE open = 1"))
	require.False(t, w.complete("").Exact)
	require.Equal(t, []string{"1\t1\tkept"}, w.query("SELECT * FROM DB.wide ORDER BY id"))
	w.reach(tab, 1-here, "1", "1", "former")
	w.waitEpoch(2)
	w.eventually([]string{"1\t1\tkept", "2\t4\tother"}, "SELECT * FROM DB.wide ORDER BY id")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 50*time.Millisecond)
}

// keyMoved is a key change that left out three values.
func keyMoved() cdc.RowChange {
	return cdc.RowChange{
		Op: cdc.OpUpdate, XID: 7, OldKind: cdc.OldKey, Old: tuple("1", `\N`, `\N`, `\N`, `\N`), New: tuple("2", "0", `\U`, `\U`, `\U`),
	}
}

// TestHotRow: many records of one large row, and the first records of many large ones, take no more memory than a few
// rows, and each record builds on the one before it.
func TestHotRow(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "hot")
	const size, rows, updates = 700 << 10, 32, 300
	x := w.begin()
	for i := range rows {
		x.insert(tab, fmt.Sprint(i), "0", strings.Repeat("x", size), "{}", "0.25")
	}
	x.commit()
	l := w.load()
	w.wait()
	l.stop(t)
	x = w.begin()
	for i := range rows {
		x.update(tab, fmt.Sprint(i), "1", `\U`, `\U`, `\U`)
	}
	x.update(tab, "0", "2", `\U`, `{paid}`, `\U`).update(tab, "0", "3", `\U`, `\U`, "7.50")
	for n := range updates {
		x.update(tab, "0", fmt.Sprint(4+n), `\U`, `\U`, `\U`)
	}
	x.commit()
	grown := heapGrowth()
	w.load(func(o *Options) { o.MemoryBytes = 16 << 20 })
	w.wait()
	require.Less(t, grown(), uint64(96<<20))
	require.Equal(t, []string{fmt.Sprintf("%d\t%d\t%d\t['paid']\t7.5", rows, rows*size, 3+updates)},
		w.query("SELECT count(), sum(length(doc)), max(n), anyIf(tags, id = 0), anyIf(amount, id = 0) FROM DB.hot"))
}

// TestHotRowInItsOwnBatch: a large row and many records that build on it come in one batch. They take no more memory
// than a few rows; a record that carries all its columns again, or deletes the row, ends what came before it.
func TestHotRowInItsOwnBatch(t *testing.T) {
	w := newWorld(t)
	tab := wide(w, "hot")
	const size, updates = 700 << 10, 300
	large := strings.Repeat("x", size)
	x := w.begin()
	for i := range 3 {
		x.insert(tab, fmt.Sprint(i), "0", large, "{}", "0.25")
	}
	for n := range updates {
		x.update(tab, "0", fmt.Sprint(1+n), `\U`, `\U`, `\U`).update(tab, "1", fmt.Sprint(1+n), `\U`, `{paid}`, `\U`)
	}
	x.update(tab, "0", "1000", `\U`, `{sent}`, `\U`).update(tab, "0", "1001", `\U`, `\U`, "7.50")
	x.update(tab, "1", "2000", "small", "{}", "1.00").update(tab, "1", "2001", `\U`, `\U`, "2.00")
	x.update(tab, "2", "3000", `\U`, `\U`, "3.00").delete(tab, "2", `\N`, `\N`, `\N`, `\N`)
	x.commit()
	grown := heapGrowth()
	w.load(func(o *Options) { o.MemoryBytes, o.FlushInterval = 64<<20, 2*time.Second }) // all of it in one batch
	w.wait()
	require.Less(t, grown(), uint64(96<<20))
	require.Equal(t, []string{fmt.Sprintf("0\t1001\t%d\t['sent']\t7.5", size), "1\t2001\t5\t[]\t2"},
		w.query("SELECT id, n, length(doc), tags, amount FROM DB.hot ORDER BY id"))
}
