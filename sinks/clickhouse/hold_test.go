package clickhouse

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// waysOut waits until load has the table in quarantine, and compares the ways out of it.
func (w *world) waysOut(of string, commands ...string) {
	w.t.Helper()
	var rows []ledger.Quarantine
	require.Eventually(w.t, func() bool {
		var err error
		rows, err = ledger.New(w.conn, w.database).Quarantines(w.ctx)
		rows = ofTable(rows, of)
		return err == nil && len(rows) == 1
	}, 30*time.Second, 20*time.Millisecond)
	var got []string
	for _, r := range cdc.ParseProblem(rows[0].Reason).Try {
		got = append(got, r.Command)
	}
	require.Equal(w.t, commands, got)
}

func ofTable(rows []ledger.Quarantine, table string) (out []ledger.Quarantine) {
	for _, r := range rows {
		if r.Table == table && r.Leg == ledger.LegLoad && r.State == ledger.StateSkipping {
			out = append(out, r)
		}
	}
	return out
}

// exec runs statements; RAW is the database of storage.
func (w *world) exec(sql string) {
	w.t.Helper()
	r := strings.NewReplacer("RAW.", schemas.ClickHouseIdent(w.database+"_raw")+".", "DB.", schemas.ClickHouseIdent(w.database)+".")
	for one := range strings.SplitSeq(r.Replace(sql), "; ") {
		require.NoError(w.t, w.conn.Exec(w.ctx, one), one)
	}
}

// TestStorageOfOneTableIsAway: whatever is done to the storage of one table for a while, that table alone waits, shows
// it, and goes on by itself; complete_up_to passes it for nobody. What has lost values quarantines it, and a newer copy
// helps.
func TestStorageOfOneTableIsAway(t *testing.T) {
	w := newWorld(t)
	good, sick := twoColumns(w, "good"), twoColumns(w, "sick")
	l := w.load(func(o *Options) { o.StoragePatience, o.harmEvery = time.Minute, 100*time.Millisecond })
	w.wait()
	for n, trouble := range []struct {
		what, harm, undo string
		everybody        bool // waits: it is the server's
	}{
		{"detached", "DETACH TABLE RAW.sick__g1 SYNC", "ATTACH TABLE RAW.sick__g1", false},
		{"renamed", "RENAME TABLE RAW.sick__g1 TO RAW.elsewhere", "RENAME TABLE RAW.elsewhere TO RAW.sick__g1", false},
		{"column renamed", "ALTER TABLE RAW.sick__g1 RENAME COLUMN v TO w", "ALTER TABLE RAW.sick__g1 RENAME COLUMN w TO v", false},
		{"too many parts",
			"ALTER TABLE RAW.sick__g1 MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1",
			"ALTER TABLE RAW.sick__g1 RESET SETTING parts_to_throw_insert, parts_to_delay_insert", false,
		},
		{"read-only", insertsFail(242), "DROP VIEW RAW.trap SYNC", false},
		{"a code of no list", insertsFail(395), "DROP VIEW RAW.trap SYNC", false},
		{"memory", insertsFail(241), "DROP VIEW RAW.trap SYNC", true},
		{"quota", insertsFail(201), "DROP VIEW RAW.trap SYNC", true},
		{"a view in its place",
			"RENAME TABLE RAW.sick__g1 TO RAW.elsewhere; CREATE VIEW RAW.sick__g1 AS SELECT * FROM RAW.elsewhere",
			"DROP VIEW RAW.sick__g1 SYNC; RENAME TABLE RAW.elsewhere TO RAW.sick__g1", false,
		},
	} {
		id, row := string(rune('a'+n)), strconv.Itoa(1+n)
		w.begin().insert(sick, strconv.Itoa(100+n), "before").commit()
		w.wait()
		w.exec(trouble.harm)
		before := w.complete("")
		for range 3 {
			w.begin().insert(good, row, id).insert(sick, row, id).commit()
		}
		want := w.lsn
		if trouble.everybody {
			require.Eventually(t, func() bool { return l.LastError() != "" }, 10*time.Second, 10*time.Millisecond, trouble.what)
			w.exec(trouble.undo)
			w.wait()
			require.Contains(t, w.query("SELECT * FROM DB.sick"), row+"\t"+id, trouble.what)
			continue
		}
		require.Eventually(t, func() bool { return w.complete("public.good").LSN >= want }, 20*time.Second, 20*time.Millisecond, trouble.what)
		w.noticed(trouble.what, ledger.NoticeWaits+" public.sick")
		require.Eventually(t, func() bool { return strings.Contains(l.LastError(), "public.sick") }, 10*time.Second, 10*time.Millisecond, trouble.what)
		require.Less(t, w.complete("").LSN, want, trouble.what)
		require.Less(t, w.complete("public.sick").LSN, want, trouble.what)
		require.GreaterOrEqual(t, w.complete("").LSN, before.LSN, trouble.what)
		require.InDelta(t, 1, testutil.ToFloat64(l.metrics.waiting), 0, trouble.what)
		w.exec(trouble.undo)
		w.wait()
		require.Contains(t, w.query("SELECT * FROM DB.sick"), row+"\t"+id, trouble.what)
	}
	require.True(t, w.complete("").Exact)
	require.Eventually(t, func() bool { return l.LastError() == "" }, 10*time.Second, 20*time.Millisecond)
	require.Zero(t, testutil.ToFloat64(l.metrics.waiting))
	w.noticed("healed")

	for n, lost := range []string{ // nothing shows it afterwards
		"ALTER TABLE RAW.sick__gN DROP COLUMN v; ALTER TABLE RAW.sick__gN ADD COLUMN v Nullable(String) AFTER id",
		"ALTER TABLE RAW.sick__gN MODIFY COLUMN v Nullable(FixedString(20)); ALTER TABLE RAW.sick__gN MODIFY COLUMN v Nullable(String)",
		"ALTER TABLE RAW.sick__gN RENAME COLUMN v TO w; ALTER TABLE RAW.sick__gN ADD COLUMN v Nullable(String) AFTER id",
		"ALTER TABLE RAW.sick__gN DELETE WHERE id = 1",
	} {
		w.begin().insert(sick, "1000", "before").insert(good, strconv.Itoa(1000+n), "before").commit()
		w.wait()
		w.exec(strings.ReplaceAll(lost, "gN", "g"+strconv.Itoa(1+n)))
		w.waysOut("public.sick", cdc.ResnapshotCommand("public.sick"))
		w.begin().insert(good, strconv.Itoa(2000+n), "goes on").commit()
		w.wait()
		require.False(t, w.complete("public.sick").Exact, lost)
		require.True(t, w.complete("public.good").Exact, lost)
		w.copyAgain(sick, []string{"1", "copied"})
		w.wait()
		w.eventually([]string{"1\tcopied"}, "SELECT * FROM DB.sick")
		require.Eventually(t, func() bool { return w.complete("").Exact }, 10*time.Second, 20*time.Millisecond, lost)
	}
}

// insertsFail makes a code of ClickHouse the answer to every INSERT into one storage table.
func insertsFail(code int) string {
	return fmt.Sprintf("CREATE MATERIALIZED VIEW RAW.trap ENGINE = Null AS SELECT throwIf(id >= 0, 'trap', toInt16(%d)) AS x FROM RAW.sick__g1"+
		" SETTINGS allow_custom_error_code_in_throwif = 1", code)
}

// TestHeldLongerThanProgress: a table waits for longer than the progress topic keeps its records. A loader that starts
// then goes on with the others, and with the table once its storage is back.
func TestHeldLongerThanProgress(t *testing.T) {
	w := newWorld(t)
	good, sick := twoColumns(w, "good"), twoColumns(w, "sick")
	patient := func(o *Options) { o.StoragePatience = time.Minute }
	l := w.load(patient)
	w.wait()
	w.exec("DETACH TABLE RAW.sick__g1 SYNC")
	w.begin().insert(sick, "1", "a").insert(good, "1", "a").commit()
	w.begin().insert(good, "2", "b").commit()
	w.eventually([]string{"1\ta", "2\tb"}, "SELECT * FROM DB.good ORDER BY id")
	w.noticed("detached", ledger.NoticeWaits+" public.sick")
	l.stop(t)
	ends, err := w.admin.ListEndOffsets(w.ctx, schemas.ProgressTopic(w.prefix))
	require.NoError(t, err)
	_, err = w.admin.DeleteRecords(w.ctx, ends.Offsets())
	require.NoError(t, err)

	w.load(patient)
	w.full = true // one of a thousand records, and the first of a capture
	w.begin().insert(good, "3", "c").commit()
	want := w.lsn
	require.Eventually(t, func() bool { return w.complete("public.good").LSN >= want }, 20*time.Second, 20*time.Millisecond)
	require.Less(t, w.complete("").LSN, want)
	require.Less(t, w.complete("public.sick").LSN, want)
	w.exec("ATTACH TABLE RAW.sick__g1")
	w.wait()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.sick")
	require.True(t, w.complete("").Exact)
}

// noticed waits until other processes are told this of loaders, and nothing else.
func (w *world) noticed(what string, want ...ledger.NoticeKind) {
	w.t.Helper()
	var got []ledger.NoticeKind
	require.Eventually(w.t, func() bool {
		notices, err := ledger.New(w.conn, w.database).Notices(w.ctx)
		require.NoError(w.t, err)
		got = nil
		for _, n := range notices {
			got = append(got, n.Kind+" "+ledger.NoticeKind(n.Name))
		}
		return slices.Equal(want, got)
	}, 20*time.Second, 20*time.Millisecond, "%s: %q", what, &got)
}

// TestViewThatCannotBeMade: a view that cannot be made waits alone, and comes by itself.
func TestViewThatCannotBeMade(t *testing.T) {
	w := newWorld(t)
	good, sick := twoColumns(w, "good"), twoColumns(w, "sick")
	w.load(func(o *Options) { o.StoragePatience = time.Minute })
	w.wait()
	w.exec("ALTER TABLE RAW.sick__g1 RENAME COLUMN v TO w")
	w.exec("DROP VIEW DB.sick")
	w.begin().insert(good, "1", "a").commit()
	w.wait()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.good")
	w.noticed("in the way", ledger.NoticeView+" public.sick")
	w.exec("ALTER TABLE RAW.sick__g1 RENAME COLUMN w TO v")
	w.begin().insert(sick, "1", "a").commit()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.sick")
	w.noticed("out of the way")
}

// TestTableInTheViewsPlace: somebody's table or view has the name of a view that is to be made: it stays, that view
// alone waits, and its way out works. So it is with complete_up_to, which dirtbike's own verbs do not need.
func TestTableInTheViewsPlace(t *testing.T) {
	w := newWorld(t)
	w.exec("CREATE DATABASE IF NOT EXISTS " + schemas.ClickHouseIdent(w.database))
	w.exec("CREATE TABLE DB.sick (mine Int8) ENGINE = MergeTree ORDER BY mine AS SELECT 7; CREATE VIEW DB.viewed AS SELECT 8 AS mine" +
		"; CREATE TABLE DB.complete_up_to (mine Int8) ENGINE = MergeTree ORDER BY mine AS SELECT 9; CREATE TABLE DB.applied (mine Int8) ENGINE = MergeTree ORDER BY mine AS SELECT 10")
	good, sick, viewed := twoColumns(w, "good"), twoColumns(w, "sick"), twoColumns(w, "viewed")
	w.begin().insert(good, "1", "a").insert(sick, "1", "b").insert(viewed, "1", "c").commit()
	w.load()
	w.eventually([]string{"1\ta"}, "SELECT * FROM DB.good")
	w.noticed("in the way", ledger.NoticeTaken+" "+ledger.CompleteName, ledger.NoticeView+" public.sick", ledger.NoticeView+" public.viewed")
	w.wait()
	require.True(t, w.complete("public.good").Exact)
	for n, name := range []string{"sick", "viewed", "complete_up_to"} {
		mine := []string{strconv.Itoa(7 + n)}
		require.Equal(t, mine, w.query("SELECT mine FROM DB."+name))
		way := "RENAME TABLE DB." + schemas.ClickHouseIdent(name) + " TO DB." + schemas.ClickHouseIdent(name+"_former")
		w.said(name, way)
		w.exec(way)
		require.Eventually(t, func() bool { _, err := w.tryQuery("SELECT * FROM DB." + name); return err == nil }, 20*time.Second, 20*time.Millisecond)
		require.Equal(t, mine, w.query("SELECT mine FROM DB."+name+"_former"))
	}
	w.eventually([]string{"1\tb"}, "SELECT * FROM DB.sick")
	w.eventually([]string{"1\tc"}, "SELECT * FROM DB.viewed")
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE table = ''")
	require.Equal(t, []string{"10"}, w.query("SELECT mine FROM DB.applied"))
	w.noticed("out of the way")
	w.exec("CREATE OR REPLACE VIEW DB.complete_up_to AS SELECT '' AS table, 0 AS exact") // a view, later
	w.noticed("in the way again", ledger.NoticeTaken+" "+ledger.CompleteName)
	require.True(t, w.complete("").Exact)
	w.exec("DROP VIEW DB.complete_up_to")
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE table = ''")
}

// said requires that other processes are told of a name, with this way out.
func (w *world) said(name, way string) {
	w.t.Helper()
	notices, err := ledger.New(w.conn, w.database).Notices(w.ctx)
	require.NoError(w.t, err)
	at := slices.IndexFunc(notices, func(n ledger.Notice) bool { return strings.TrimPrefix(n.Name, "public.") == name })
	require.GreaterOrEqual(w.t, at, 0, name)
	require.Equal(w.t, strings.ReplaceAll(way, "DB.", schemas.ClickHouseIdent(w.database)+"."), cdc.ParseProblem(notices[at].Reason).Try[0].Command)
}

// TestControlRecordsOfOneTable: an open record that comes twice, an end that nothing was opened for, and one that
// contradicts the end before it quarantine their tables; an end that comes twice changes nothing. A newer copy helps.
func TestControlRecordsOfOneTable(t *testing.T) {
	w := newWorld(t)
	good, same := twoColumns(w, "good"), twoColumns(w, "same")
	cut := w.begin().snapshot()
	cut.CommitLSN -= 0x100 // that of live
	opened, forged, moved := twoColumns(w, "opened"), twoColumns(w, "forged"), twoColumns(w, "moved")
	w.load()
	w.wait()
	x := w.begin()
	opened.gen--
	forged.gen += 6
	x.open(opened).end(same, cut).end(forged, x.snapshot()).end(moved, cdc.Position{Epoch: 1, CommitLSN: w.lsn + 0x100000})
	forged.gen -= 6
	x.insert(good, "1", "a").insert(same, "1", "a").commit()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.good"))
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.same"))
	require.True(t, w.complete("public.same").Exact)
	w.waysOut("public.opened", cdc.ResnapshotCommand("public.opened")+", or "+cdc.ResnapshotAllCommand)
	for _, tab := range []*sourceTable{opened, forged, moved} {
		name := "public." + tab.rel.Name
		require.False(t, w.complete(name).Exact, name)
		w.copyAgain(tab, []string{"1", "copied"})
		w.wait()
		w.eventually([]string{"1\tcopied"}, "SELECT * FROM DB."+tab.rel.Name)
	}
	require.Eventually(t, func() bool { return w.complete("").Exact }, 10*time.Second, 20*time.Millisecond)
}

// TestTopicDeletedWhileLoaded: a table's topic that is deleted and made again while a loader runs is begun again by it,
// also where the table waits, whenever its next try would be.
func TestTopicDeletedWhileLoaded(t *testing.T) {
	w := newWorld(t)
	tab, other := twoColumns(w, "deleted"), twoColumns(w, "other")
	w.begin().insert(tab, "1", "former").commit()
	l := w.load(func(o *Options) { o.StoragePatience = time.Minute })
	w.wait()
	w.renew(tab, []string{"1", "copied"})
	w.begin().insert(other, "1", "a").insert(tab, "2", "later").commit()
	w.wait()
	w.eventually([]string{"1\tcopied", "2\tlater"}, "SELECT * FROM DB.deleted ORDER BY id")
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.other"))
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 20*time.Millisecond)

	w.exec("DETACH TABLE RAW.deleted__g2 SYNC")
	w.begin().insert(tab, "3", "lost").commit()
	w.noticed("detached", ledger.NoticeWaits+" public.deleted")
	l.mu.Lock()
	l.waiting.tables[tab.topic.Name].due = time.Now().Add(time.Hour)
	l.mu.Unlock()
	w.renew(tab, []string{"1", "once more"})
	w.begin().insert(tab, "2", "later").commit()
	w.wait()
	w.eventually([]string{"1\tonce more", "2\tlater"}, "SELECT * FROM DB.deleted ORDER BY id")
	require.Eventually(t, func() bool { return w.complete("").Exact }, 20*time.Second, 20*time.Millisecond)
}

// TestForeignTopic: a topic below the prefix that capture has not made holds nobody back.
func TestForeignTopic(t *testing.T) {
	w := newWorld(t)
	w.createTopic(w.prefix+".public.stranger", 1, false)
	require.NoError(t, w.kc.BeginTransaction())
	require.NoError(t, w.kc.ProduceSync(w.ctx, &kgo.Record{Topic: w.prefix + ".public.stranger", Value: []byte("junk")}).FirstErr())
	require.NoError(t, w.kc.EndTransaction(w.ctx, kgo.TryCommit))
	tab := twoColumns(w, "good")
	w.begin().insert(tab, "1", "a").commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.good"))
	w.waysOut("public.stranger", "find out who else writes to the topic; then "+cdc.ResnapshotCommand("public.stranger"))
}

// TestHeldPauses: pauses double up to a bound; storage that stays away is given up, anything else is not.
func TestHeldPauses(t *testing.T) {
	now := time.Now()
	missing, busy, contract := &chgo.Exception{Code: int32(proto.ErrUnknownTable)}, &chgo.Exception{Code: int32(proto.ErrTooManyParts)}, table.ErrContract
	for _, c := range []struct {
		err    error
		giveUp bool
	}{{missing, true}, {contract, true}, {busy, false}, {&chgo.Exception{Code: 99999}, false}, {errors.New("a block"), false}} {
		h := &held{}
		require.False(t, h.waits())
		require.False(t, h.failed(&unsettled{"insert", c.err}, now, time.Minute))
		require.True(t, h.waits())
		require.Equal(t, firstPause, h.pause)
		require.False(t, h.failed(c.err, now.Add(time.Second), time.Minute))
		require.Equal(t, 2*firstPause, h.pause)
		for range 20 {
			require.Equal(t, c.giveUp, h.failed(c.err, now.Add(time.Minute), time.Minute))
		}
		require.Equal(t, longestPause, h.pause)
	}
}

// TestWhoWaits: what one table suffers is final or unsettled, and never waited for; a server that is away is.
func TestWhoWaits(t *testing.T) {
	l, _ := retrier(t)
	l.outage.loggedIn.Store(true)
	for _, c := range []struct {
		err       error
		unsettled bool
	}{
		{&chgo.Exception{Code: 252}, true}, {&chgo.Exception{Code: 60}, true}, {&chgo.Exception{Code: 241}, true}, {&chgo.Exception{Code: 99999}, true},
		{&chgo.Exception{Code: 62}, false}, {&chgo.Exception{Code: 179}, false}, {table.ErrContract, true}, {errSchema, false}, {schemas.ErrNoSchema, false},
	} {
		for _, try := range []retry{l.outage.once, l.outage.ofTable} {
			err := try(t.Context(), "insert", answers(c.err))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.unsettled, isUnsettled(err), c.err)
		}
	}
	away := os.ErrDeadlineExceeded
	require.NoError(t, l.outage.ofTable(t.Context(), "insert", answers(away, away, nil)))
	require.True(t, isUnsettled(l.outage.once(t.Context(), "insert", answers(away))))
}

// TestStops: the list of what ends load is closed, and written in OPERATIONS.md.
func TestStops(t *testing.T) {
	text, err := os.ReadFile("../../cmd/dirtbike/OPERATIONS.md")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(text), "stops, with exit code 2, for these reasons only:\n")
	list, _, _ = strings.Cut(list, ".\n")
	var whole []string
	for _, s := range Stops {
		require.True(t, isStop(s.Kind))
		whole = append(whole, "  - "+s.When)
	}
	require.Equal(t, strings.Join(whole, ";\n"), list, "the document has no other")
	for _, err := range []error{errSchema, table.ErrContract, table.ErrMisfit, schemas.ErrNoSchema, &chgo.Exception{Code: 60}, &unsettled{"x", errors.New("x")}} {
		require.False(t, isStop(err))
	}
	l, _ := retrier(t, func(o *Options) { o.StoragePatience = 100 * time.Millisecond })
	gone := &chgo.Exception{Code: 60}
	require.ErrorIs(t, l.retry(t.Context(), "write cuts", answers(gone, gone, gone, gone, gone, gone)), ErrBookkeeping)
}
