package clickhouse

import (
	"strconv"
	"strings"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// TestKeysHaveAnIndex: who asks a view by its key uses the primary key and reads few granules, also where it takes an
// integer that the view does not show to tell the keys apart.
func TestKeysHaveAnIndex(t *testing.T) {
	w := newWorld(t)
	cases := []struct {
		name, columns, values string // values of row `number`
		key                   []schemas.Column
		conditions            []string
	}{
		{"days", "day, _key_day", "toDate32('2000-01-01') + number, number", []schemas.Column{plainColumn("day", schemas.KindDate, true)},
			[]string{"day = '2100-01-01'", "day >= '2100-01-01' AND day < '2100-02-01'", "toYear(day) = 2100", "day IN ('2100-01-01', '2100-01-02')"}},
		{"moments", "moment, _key_moment", "toDateTime64('2000-01-01 00:00:00', 6, 'UTC') + number, number * 1000000", []schemas.Column{plainColumn("moment", schemas.KindTimestampTZ, true)},
			[]string{"moment = '2000-01-01 05:00:00'", "moment >= '2000-01-01 05:00:00' AND moment < '2000-01-01 06:00:00'", "moment BETWEEN '2000-01-01 05:00:00' AND '2000-01-01 05:00:09'"}},
		{"local", "local, _key_local", "toDateTime64('2000-01-01 00:00:00', 6, 'UTC') + number, number * 1000000", []schemas.Column{plainColumn("local", schemas.KindTimestamp, true)},
			[]string{"local = '2000-01-01 05:00:00'", "local > '2000-01-01 17:00:00'"}},
		{"visits", "clinic, day, _key_day", "intDiv(number, 20000), toDate32('2000-01-01') + number % 20000, number % 20000", []schemas.Column{plainColumn("clinic", schemas.KindInt4, true), plainColumn("day", schemas.KindDate, true)},
			[]string{"clinic = 1", "clinic = 1 AND day = '2010-01-01'"}},
		{"numbers", "id", "number", []schemas.Column{plainColumn("id", schemas.KindInt8, true)}, []string{"id = 30000", "id BETWEEN 30000 AND 30010"}},
		{"texts", "code", "leftPad(toString(number), 8, '0')", []schemas.Column{plainColumn("code", schemas.KindText, true)}, []string{"code = '00030000'", "code >= '00030000' AND code < '00030010'"}},
		{"ids", "u", "toUUID('00000000-0000-0000-0000-' || leftPad(toString(number), 12, '0'))", []schemas.Column{plainColumn("u", schemas.KindUUID, true)}, []string{"u = '00000000-0000-0000-0000-000000030000'"}},
	}
	for _, c := range cases {
		var key []int
		for i := range c.key {
			key = append(key, i)
		}
		w.table(c.name, 1, cdc.IdentityDefault, key, append(c.key, plainColumn("v", schemas.KindInt4, false))...).live()
	}
	w.load()
	w.wait()
	const granules = 8
	for _, c := range cases {
		storage := schemas.ClickHouseIdent(w.database+"_raw") + "." + c.name + "__g1"
		embeddedtest.ExecClickHouse(t, w.conn, "INSERT INTO "+storage+" ("+c.columns+", v, _version) SELECT "+c.values+", number, toUInt128('340282366920938463463374607431768211455') FROM numbers("+
			strconv.Itoa(granules*8192-1)+")", "OPTIMIZE TABLE "+storage+" FINAL")
		for _, condition := range c.conditions {
			read := w.query("SELECT marks FROM (EXPLAIN ESTIMATE SELECT * FROM DB." + c.name + " WHERE " + condition + ") WHERE table = '" + c.name + "__g1'")
			require.Len(t, read, 1, condition)
			marks, err := strconv.Atoi(read[0])
			require.NoError(t, err)
			require.Less(t, marks, granules/2+1, "%s: %s reads %d granules", c.name, condition, marks)
			require.NotEqual(t, []string{"0"}, w.query("SELECT count() FROM DB."+c.name+" WHERE "+condition+" SETTINGS force_primary_key = 1"), "%s: %s", c.name, condition)
		}
	}
}

// virtualColumns names those that ClickHouse gives to a table beside its own.
func (w *world) virtualColumns(table string) (names []string) {
	rows, err := w.conn.Query(w.ctx, "DESCRIBE TABLE "+schemas.ClickHouseIdent(w.database)+"."+table+" SETTINGS describe_include_virtual_columns = 1, describe_compact_output = 1")
	require.NoError(w.t, err)
	defer rows.Close() //nolint:errcheck // Err has it
	for rows.Next() {
		var name, kind string
		var virtual uint8
		require.NoError(w.t, rows.Scan(&name, &kind, &virtual))
		if virtual == 1 {
			names = append(names, name)
		}
	}
	require.NoError(w.t, rows.Err())
	return names
}

// TestColumnsOfAnyName: the names that ClickHouse gives to columns of its own, and dirtbike to its own in the storage,
// work as names of the source's columns, and the view has them as they are. `s.size` is not the size of s, and arrays
// with a dot in their names may have any length.
func TestColumnsOfAnyName(t *testing.T) {
	w := newWorld(t)
	embeddedtest.ExecClickHouse(t, w.conn, "CREATE DATABASE "+schemas.ClickHouseIdent(w.database),
		"CREATE TABLE "+schemas.ClickHouseIdent(w.database)+".any (id Int8) ENGINE = ReplacingMergeTree ORDER BY id")
	virtual := w.virtualColumns("any")
	require.Contains(t, virtual, "_row_exists")
	names := append(virtual, "_version", "_deleted", "_partition", "_offset", "_leaf", "_key_id", "_sample_factor", "_table", "_dirtbike_s", "_dirtbike_cut", "_x005F_version",
		"s", "size", "s.size", "n.null", "_", "SELECT", "a`b", "rows", "*",
		"final", "limit", "offset", "FROM", "NULL", "table", "exact", "a.b.c.", "say \"hi\"", "it's", "back\\slash", " ", "é", "{x:Int8}", "-- c", "/* c */", "_dirtbike_replaced", "_dirtbike_leaves")
	seen := map[string]bool{}
	columns := []schemas.Column{plainColumn("id", schemas.KindInt4, true)}
	values, want := []string{"1"}, []string{"1"}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			columns = append(columns, plainColumn(name, schemas.KindText, false))
			values, want = append(values, "value of "+name), append(want, "value of "+name)
		}
	}
	for i, name := range []string{"a.b", "a.c", "_a.b"} {
		columns = append(columns, schemas.Column{Name: name, Type: schemas.Type{Kind: schemas.KindArray, Name: "text[]", Elem: &schemas.Type{Kind: schemas.KindText, Name: "text"}}})
		elements := strings.TrimSuffix(strings.Repeat("x,", i+1), ",")
		values = append(values, "{"+elements+"}")
	}
	tab := w.table("odd", 1, cdc.IdentityDefault, []int{0}, columns...).live()
	w.begin().insert(tab, values...).commit()
	w.load()
	w.wait()
	var list []string
	for i := range want {
		list = append(list, schemas.ClickHouseIdent(columns[i].Name))
	}
	names = names[:0]
	for i := range columns {
		names = append(names, columns[i].Name)
	}
	require.Equal(t, []string{strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(strings.Join(append(names, "_inexact"), "|"))},
		w.query("SELECT arrayStringConcat(groupArray(name), '|') FROM (SELECT name FROM system.columns WHERE database = '"+w.database+"' AND table = 'odd' ORDER BY position)"))
	for _, analyzer := range []int{0, 1} {
		var got string
		row := w.conn.QueryRow(chgo.Context(w.ctx, chgo.WithSettings(chgo.Settings{"enable_analyzer": analyzer})),
			"SELECT assumeNotNull(arrayStringConcat([toString(id), "+strings.Join(list[1:], ", ")+"], '|')) FROM "+schemas.ClickHouseIdent(w.database)+".odd")
		require.NoError(t, row.Scan(&got))
		require.Equal(t, strings.Join(want, "|"), got)
	}
	require.Equal(t, []string{"1\t2\t3"}, w.query("SELECT length(`a.b`), length(`a.c`), length(`_a.b`) FROM DB.odd WHERE `_row_exists` = 'value of _row_exists' AND `_version` = 'value of _version'"))
	values[1] = "changed"
	w.begin().update(tab, values...).commit()
	w.wait()
	require.Equal(t, []string{"changed"}, w.query("SELECT "+list[1]+" FROM DB.odd"))
	w.begin().delete(tab, append([]string{"1"}, strings.Split(strings.Repeat("\\N ", len(columns)-2)+"\\N", " ")...)...).commit()
	w.wait()
	require.Empty(t, w.query("SELECT id FROM DB.odd"))
}

// TestExactTextsBesideAColumnOfTheirName: only `_inexact`, which the view itself may have, is shown under another name.
func TestExactTextsBesideAColumnOfTheirName(t *testing.T) {
	w := newWorld(t)
	tab := w.table("texts", 1, cdc.IdentityDefault, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("_inexact", schemas.KindText, false),
		plainColumn("_x005F_inexact", schemas.KindText, false), plainColumn("born", schemas.KindDate, false)).live()
	w.begin().insert(tab, "1", "a", "b", "infinity").commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"a\tb\tinfinity"}, w.query("SELECT `_x005F_inexact`, `_x005F_x005F_inexact`, _inexact['born'] FROM DB.texts"))
}

// comments gives the comments of an object and its columns, by name.
func (w *world) comments(name string) []string {
	in := " WHERE database = '" + w.database + "'"
	return w.query("SELECT c, t FROM (SELECT '' AS c, comment AS t FROM system.tables" + in + " AND name = '" + name +
		"' UNION ALL SELECT name, comment FROM system.columns" + in + " AND table = '" + name + "') WHERE t != '' ORDER BY c")
}

// TestComments: the view has the comments of the source; those that a person gives to it stay, whatever generation it
// shows, and it is known to be dirtbike's all the same.
func TestComments(t *testing.T) {
	w := newWorld(t)
	odd := "it's \\ \"a\"\nremark, log_comment = 'dirtbike generation 9'"
	columns := []schemas.Column{plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false), plainColumn("_version", schemas.KindText, false)}
	columns[0].Comment, columns[1].Comment = "the number", odd
	rel := &schemas.Relation{OID: 1, Schema: "public", Name: "noted", Database: "test", Identity: cdc.IdentityFull, Columns: columns, Key: []int{0}, Comment: odd}
	tab := w.tableOf(rel, 1, keepAll{}).live()
	w.begin().insert(tab, "1", "a", "b").commit()
	w.load()
	w.wait()
	escaped := strings.NewReplacer("\\", "\\\\", "\n", "\\n", "'", "\\'").Replace(odd)
	require.Equal(t, []string{"\t" + escaped, "id\tthe number", "v\t" + escaped}, w.comments("noted"))
	view := schemas.ClickHouseIdent(w.database) + ".noted"
	embeddedtest.ExecClickHouse(t, w.conn, "ALTER TABLE "+view+" MODIFY COMMENT 'dirtbike generation 7'", "ALTER TABLE "+view+" COMMENT COLUMN _version 'a person''s'",
		"ALTER TABLE "+schemas.ClickHouseIdent(w.database)+".complete_up_to MODIFY COMMENT 'look here'")
	rel.Columns[0].Comment, rel.Columns[2].Comment = "the id", "the source's"
	var err error
	tab.table, err = schemas.NewTable(rel, tab.topic.Name, keepAll{})
	require.NoError(t, err)
	tab.compile()
	x := w.begin().open(tab)
	x.read(tab, x.snapshot(), "1", "copied", "b").end(tab, x.snapshot()).commit()
	w.wait()
	require.Equal(t, []string{"copied"}, w.query("SELECT v FROM DB.noted"))
	require.Equal(t, []string{"\tdirtbike generation 7", "_version\ta person\\'s", "id\tthe id", "v\t" + escaped}, w.comments("noted"))
	views, err := ledger.New(w.conn, w.database).Views(w.ctx)
	require.NoError(t, err)
	require.Equal(t, "complete_up_to", views[0].Name)
	require.True(t, views[0].CompleteUp)
	require.Equal(t, "look here", views[0].Comment)
	require.Equal(t, uint32(2), views[1].Generation)
	require.NoError(t, w.conn.Exec(w.ctx, "CREATE OR REPLACE VIEW "+schemas.ClickHouseIdent(w.database)+
		".complete_up_to AS SELECT 1 AS a SETTINGS limit = 0, log_comment = 'dirtbike complete_up_to of another release' COMMENT 'look here'"))
	w.eventually([]string{"1"}, "SELECT exact FROM DB.complete_up_to WHERE table = ''")
	require.Equal(t, []string{"\tlook here"}, w.comments("complete_up_to"))
}

// TestDroppedViewsComeBack: complete_up_to and the views of tables are made again when somebody drops or detaches them,
// puts something else in their place, be it another of them, or edits what they say.
func TestDroppedViewsComeBack(t *testing.T) {
	w := newWorld(t)
	things, others := twoColumns(w, "things"), twoColumns(w, "others")
	w.begin().insert(things, "1", "a").insert(others, "1", "of others").commit()
	w.load()
	w.wait()
	database := schemas.ClickHouseIdent(w.database)
	edited := func(view, from, to string) string { // as somebody does who starts from SHOW CREATE TABLE
		var create string
		require.NoError(t, w.conn.QueryRow(w.ctx, "SELECT create_table_query FROM system.tables WHERE database = '"+w.database+"' AND name = '"+view+"'").Scan(&create))
		require.Contains(t, create, from)
		return strings.Replace(strings.Replace(create, "CREATE VIEW", "CREATE OR REPLACE VIEW", 1), from, to, 1)
	}
	for _, by := range []string{
		"DROP VIEW " + database + ".complete_up_to", "DROP VIEW " + database + ".things",
		"CREATE OR REPLACE VIEW " + database + ".things AS SELECT 7 AS id, 'by hand' AS v COMMENT 'dirtbike generation 1'",
		"RENAME TABLE " + database + ".complete_up_to TO " + database + ".mine",
		"EXCHANGE TABLES " + database + ".things AND " + database + ".others",
		edited("things", "_deleted = 0", "_deleted = 0 AND id > 1"),
		edited("things", "DEFINER = dirtbike SQL SECURITY DEFINER", "SQL SECURITY INVOKER"),
		edited("complete_up_to", "max(inexact) OVER () = 0", "max(inexact) OVER () = 1"),
		"DETACH TABLE " + database + ".things", "DETACH TABLE " + database + ".complete_up_to PERMANENTLY",
		"DROP DATABASE " + database,
	} {
		embeddedtest.ExecClickHouse(t, w.conn, by)
		w.eventually([]string{"\t1", "public.others\t1", "public.things\t1"}, "SELECT table, exact FROM DB.complete_up_to ORDER BY table")
		w.eventually([]string{"1\ta"}, "SELECT id, v FROM DB.things")
		w.eventually([]string{"1\tof others"}, "SELECT id, v FROM DB.others")
		w.eventually([]string{"3"}, "SELECT countIf(definer != '') FROM system.tables WHERE database = '"+w.database+"' AND name != 'mine'")
	}
}

// TestTableInTheBookkeepingsPlace: somebody's table with the name of a bookkeeping table stays, and the way out works.
func TestTableInTheBookkeepingsPlace(t *testing.T) {
	w := newWorld(t)
	raw := schemas.ClickHouseIdent(w.database + "_raw")
	embeddedtest.ExecClickHouse(t, w.conn, "CREATE DATABASE "+raw, "CREATE TABLE "+raw+".generations (mine Int8) ENGINE = MergeTree ORDER BY mine AS SELECT 7")
	tab := twoColumns(w, "things")
	w.begin().insert(tab, "1", "a").commit()
	l := w.load()
	err := <-l.done
	close(l.done)
	require.ErrorIs(t, err, ErrBookkeeping)
	embeddedtest.ExecClickHouse(t, w.conn, cdc.Explain(err).Try[0].Command)
	w.load()
	w.wait()
	w.eventually([]string{"1"}, "SELECT id FROM DB.things")
	require.Equal(t, []string{"7"}, w.query("SELECT mine FROM "+raw+".generations_former"))
}

// TestBookkeepingDropped: what a bookkeeping table said is not known any more once somebody has dropped it, so a start
// refuses to make it again, and changes nothing; only `complete` repeats what is elsewhere.
func TestBookkeepingDropped(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "things")
	w.begin().insert(tab, "1", "a").truncate(tab).insert(tab, "2", "b").commit()
	l := w.load()
	w.wait()
	l.stop(t)
	raw := schemas.ClickHouseIdent(w.database + "_raw")
	embeddedtest.ExecClickHouse(t, w.conn, "DROP TABLE "+raw+".complete SYNC")
	l = w.load()
	w.wait()
	l.stop(t)
	embeddedtest.ExecClickHouse(t, w.conn, "RENAME TABLE "+raw+".cuts TO "+raw+".away")
	l = w.load()
	err := <-l.done
	close(l.done)
	require.ErrorIs(t, err, ErrBookkeeping)
	ways := cdc.Explain(err).Try
	require.Len(t, ways, 2)
	_, err = w.tryQuery("SELECT * FROM DB.things")
	require.Error(t, err, "a view must not show what was truncated")
	require.Equal(t, []string{"0"}, w.query("SELECT count() FROM system.tables WHERE database = '"+w.database+"_raw' AND name = 'cuts'"))
	embeddedtest.ExecClickHouse(t, w.conn, "RENAME TABLE "+raw+".away TO "+raw+".cuts")
	l = w.load()
	w.eventually([]string{"2"}, "SELECT id FROM DB.things")
	l.stop(t)

	embeddedtest.ExecClickHouse(t, w.conn, "DROP TABLE "+raw+".cuts SYNC")
	l = w.load()
	require.ErrorIs(t, <-l.done, ErrBookkeeping)
	close(l.done)
	drop, then, _ := strings.Cut(ways[1].Command, ", then ") // the other way out
	require.Equal(t, cdc.ResnapshotAllCommand, then)
	embeddedtest.ExecClickHouse(t, w.conn, drop+" SYNC")
	w.epoch, w.full = 2, true // as that does
	w.copyAgain(tab, []string{"3", "c"})
	w.load()
	w.waitEpoch(2)
	w.eventually([]string{"3"}, "SELECT id FROM DB.things")
}
