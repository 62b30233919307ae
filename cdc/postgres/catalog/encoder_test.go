package catalog

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

func TestBinaryAndCopy(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE plain (id int PRIMARY KEY, v text[])", `CREATE TABLE mixed (id int PRIMARY KEY, i interval, c "char", v text)`,
		"INSERT INTO mixed VALUES (1, '1 day', '\\200', 'x')", "ANALYZE mixed")
	tables := d.list(t, Options{})
	require.True(t, tables["plain"].Binary)
	require.False(t, tables["mixed"].Binary)
	d.exec(t, "DROP TABLE plain")
	require.Equal(t, []string{fmt.Sprintf("b%q", cdc.Tuple{
		{Kind: cdc.DatumBinary, Data: []byte{0, 0, 0, 1}}, {Kind: cdc.DatumText, Data: []byte("1 day")}, {Kind: cdc.DatumText, Data: []byte(`\200`)},
		{Kind: cdc.DatumBinary, Data: []byte("x")},
	})}, readAll(t, d.ranges(t), 10))
	require.Equal(t, []cdc.DatumKind{cdc.DatumBinary, cdc.DatumText, cdc.DatumText, cdc.DatumBinary}, tables["mixed"].CopyKinds)
	require.EqualValues(t, 1, tables["mixed"].EstimatedRows)
	require.Equal(t, &cdc.Topic{Name: "clinic.public.plain", Partitions: 3}, tables["plain"].Topic)
}

func TestEncoderRegistersItsSchemas(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY)")
	registry := &ids{}
	tables := d.tables(Options{Registry: registry})
	list, err := tables.List(t.Context())
	require.NoError(t, err)
	encoder, err := tables.Encoder(t.Context(), list[0])
	require.NoError(t, err)
	require.Equal(t, []string{"clinic.public.t-key", "clinic.public.t-value"}, registry.subjects)
	require.True(t, list[0].Topic.Compacted, "no column can be left out")
	c := &cdc.Chunk{}
	require.NoError(t, encoder.Append(t.Context(), c, &cdc.Meta{}, cdc.RowChange{Op: cdc.OpCreate, New: cdc.Tuple{{Kind: cdc.DatumText, Data: []byte("5")}}}))
	require.Len(t, c.Records, 1)
	require.Equal(t, list[0].Topic, c.Records[0].Topic)
	_, err = tables.Encoder(t.Context(), &cdc.Table{OID: 1})
	require.Error(t, err)
}

func TestMatch(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE DOMAIN zip5 AS varchar(5)", "CREATE TABLE t (id int PRIMARY KEY, v numeric(5,2), z zip5)")
	tables := d.tables(Options{})
	list, err := tables.List(t.Context())
	require.NoError(t, err)
	rel := d.relation(t, "t")
	wire := func(change func(w *cdc.WireRelation)) error {
		w := &cdc.WireRelation{OID: rel.OID, Schema: "public", Name: "t", Identity: 'd', Columns: []cdc.WireColumn{
			{Name: "id", TypeOID: 23, TypeMod: -1, Key: true}, {Name: "v", TypeOID: 1700, TypeMod: 5<<16 + 2 + 4}, {Name: "z", TypeOID: rel.Columns[2].Type.OID, TypeMod: -1},
		}}
		change(w)
		return tables.Match(list[0], w)
	}
	require.NoError(t, wire(func(*cdc.WireRelation) {}))
	require.NoError(t, wire(func(w *cdc.WireRelation) { w.Identity = 'i' }))
	require.NoError(t, wire(func(w *cdc.WireRelation) { // it flags every column
		w.Identity, w.Columns[1].Key, w.Columns[2].Key = 'f', true, true
	}))
	for says, change := range map[string]func(w *cdc.WireRelation){
		"now called public.u": func(w *cdc.WireRelation) { w.Name = "u" },
		"replica identity":    func(w *cdc.WireRelation) { w.Identity = 'n' },
		"captured: its columns have changed (Postgres sends z no more)":          func(w *cdc.WireRelation) { w.Columns = w.Columns[:2] },
		"captured: its columns have changed (added w)":                           func(w *cdc.WireRelation) { w.Columns = append(w.Columns, cdc.WireColumn{Name: "w"}) },
		"captured: its columns have changed (v is now x)":                        func(w *cdc.WireRelation) { w.Columns[1].Name = "x" },
		"captured: its columns have changed (Postgres sends v no more, added x)": func(w *cdc.WireRelation) { w.Columns[1].Name, w.Columns[1].TypeOID = "x", 25 },
		"captured: its columns have changed (id is no longer integer)":           func(w *cdc.WireRelation) { w.Columns[0].TypeOID = 20 },
		"captured: its columns have changed (v is no longer numeric(5,2))":       func(w *cdc.WireRelation) { w.Columns[1].TypeMod++ },
		"captured: its columns have changed (z is no longer zip5)":               func(w *cdc.WireRelation) { w.Columns[2].TypeOID = 1043 },
		"captured: column 2 is now z, was v":                                     func(w *cdc.WireRelation) { w.Columns[1], w.Columns[2] = w.Columns[2], w.Columns[1] },
		"captured: it has 4 columns, had 3":                                      func(w *cdc.WireRelation) { w.Columns = append(w.Columns, w.Columns[0]) },
		"captured: its columns have changed (added w0, added w1, added w2, added w3, added w4 and 2 more)": func(w *cdc.WireRelation) {
			for i := range 7 {
				w.Columns = append(w.Columns, cdc.WireColumn{Name: fmt.Sprintf("w%d", i)})
			}
		},
		"no longer (id)": func(w *cdc.WireRelation) { w.Columns[0].Key = false },
		"its key":        func(w *cdc.WireRelation) { w.Columns[1].Key = true },
	} {
		problem := cdc.Explain(wire(change))
		require.Contains(t, problem.What, says)
		fix := "dirtbike resnapshot public.t"
		if strings.Contains(says, "public.u") {
			fix = "restart capture to copy it" // it is that table now
		}
		require.Equal(t, []cdc.Remedy{{Command: fix}}, problem.Try)
	}
	tables.options.Selection = all{"u"} // selects all but it
	problem := cdc.Explain(wire(func(w *cdc.WireRelation) { w.Name = "u" }))
	require.Equal(t, []cdc.Remedy{{Command: `add "public.u" to source.tables; then restart capture`}}, problem.Try)
	d.exec(t, "ALTER TABLE t RENAME TO u")
	require.NotContains(t, d.list(t, Options{Selection: allBut{"u"}}), "u")
	require.Contains(t, d.list(t, Options{Selection: allBut{"t"}}), "u")
}

// TestDriftNamesColumns: a problem says which columns have changed.
func TestDriftNamesColumns(t *testing.T) {
	d := newDatabase(t, "18")
	for says, change := range map[string]string{
		"columns have changed (added note text): rows may":                           "ALTER TABLE t ADD note text",
		"columns have changed (dropped v): rows may":                                 "ALTER TABLE t DROP v",
		"columns have changed (dropped v, added v numeric(5,2)): rows may":           "ALTER TABLE t DROP v; ALTER TABLE t ADD v numeric(5,2)",
		"columns have changed (renamed v to w): rows may":                            "ALTER TABLE t RENAME v TO w",
		"columns have changed (v is now numeric(7,2), was numeric(5,2)): rows may":   "ALTER TABLE t ALTER v TYPE numeric(7,2)",
		"a label of an enum, or an attribute of a composite type, that the table's ": "ALTER TYPE mood RENAME VALUE 'ok' TO 'okay'",
	} {
		d.fresh(t, "CREATE TYPE mood AS ENUM ('ok', 'bad')", "CREATE TABLE t (id int PRIMARY KEY, v numeric(5,2), m mood)")
		tables := d.tables(Options{})
		_, err := tables.List(t.Context())
		require.NoError(t, err)
		d.exec(t, change)
		found := drift(t, tables)
		require.Len(t, found, 1, change)
		problem := cdc.Explain(found[0])
		require.Contains(t, problem.What, says)
		require.Equal(t, []cdc.Remedy{{Command: "dirtbike resnapshot public.t"}}, problem.Try)
	}
}

func TestReread(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, `CREATE TABLE t (a bigint, b char(3), "V ""x" text, w numeric(5,2), PRIMARY KEY (b, a))`, "INSERT INTO t VALUES (1, 'x', 'long', 1.5), (2, 'y', NULL, NULL)")
	tables := d.tables(Options{})
	_, err := tables.List(t.Context())
	require.NoError(t, err)
	defer tables.Close(context.Background())
	oid := d.relation(t, "t").OID
	row := func(kind cdc.DatumKind, a, b string) cdc.Tuple {
		return cdc.Tuple{{Kind: kind, Data: []byte(a)}, {Kind: cdc.DatumText, Data: []byte(b)}, {Kind: cdc.DatumUnchanged}, {Kind: cdc.DatumUnchanged}}
	}
	read := func(r cdc.Tuple) (cdc.Tuple, bool) {
		got, found, err := tables.Reread(t.Context(), oid, 0, r, []int{3, 2})
		require.NoError(t, err)
		return got, found
	}
	got, found := read(row(cdc.DatumText, "1", "x  "))
	require.True(t, found)
	require.Equal(t, cdc.Tuple{{Kind: cdc.DatumText, Data: []byte("1.50")}, {Kind: cdc.DatumText, Data: []byte("long")}}, got)
	got, found = read(row(cdc.DatumBinary, "\x00\x00\x00\x00\x00\x00\x00\x02", "y  "))
	require.True(t, found)
	require.Equal(t, cdc.DatumNull, got[0].Kind)
	_, found = read(row(cdc.DatumText, "3", "x  "))
	require.False(t, found)

	d.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
	_, _, err = tables.Reread(t.Context(), oid, 0, row(cdc.DatumText, "1", "x"), []int{2})
	require.ErrorIs(t, err, cdc.ErrUnreachable, "a broken connection is no fault of the table")
	_, found = read(row(cdc.DatumText, "1", "x  "))
	require.True(t, found, "the next one is new")

	d.exec(t, `INSERT INTO t VALUES (3, 'z', repeat('l', 20000000), 1)`)
	_, _, err = tables.Reread(t.Context(), oid, 0, row(cdc.DatumText, "3", "z  "), []int{3, 2})
	require.Error(t, err, "more than is read into memory")
	require.NotErrorIs(t, err, cdc.ErrUnreachable, "the table's own trouble")
	require.Equal(t, cdc.TooLarge("x").Remedies(), cdc.Explain(err).Remedies())
	_, found = read(row(cdc.DatumText, "1", "x  "))
	require.True(t, found, "others of the table are read")
	_, _, err = tables.Reread(t.Context(), oid, 0, row(cdc.DatumText, "3", "z  "), []int{3})
	require.NoError(t, err, "only what is asked for counts")
	for _, swap := range []string{`ALTER TABLE t RENAME "V ""x" TO was; ALTER TABLE t ADD "V ""x" text DEFAULT 'canary'`, `ALTER TABLE t RENAME TO former; CREATE TABLE t (LIKE former)`} {
		d.exec(t, swap)
		_, _, err = tables.Reread(t.Context(), oid, 0, row(cdc.DatumText, "1", "x  "), []int{2})
		require.ErrorIs(t, err, errRenamed, "what has the name is another column")
		require.NotErrorIs(t, err, cdc.ErrUnreachable)
	}
	d.exec(t, `ALTER TABLE t DROP "V ""x"`)
	_, _, err = tables.Reread(t.Context(), oid, 0, row(cdc.DatumText, "1", "x"), []int{2})
	require.Error(t, err)
	require.NotErrorIs(t, err, cdc.ErrUnreachable, "asking again would not help")
}

// TestKeyTypeLost: where a key column has come to a type that no key can have, the way out begins with what must change
// first, since the table would not be copied again as it is.
func TestKeyTypeLost(t *testing.T) {
	d := newDatabase(t, "18")
	const again = "dirtbike resnapshot public.t"
	d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	tables := d.tables(Options{})
	list, err := tables.List(t.Context())
	require.NoError(t, err)
	d.exec(t, "ALTER TABLE t ALTER id TYPE numeric")
	found := drift(t, tables)
	require.Len(t, found, 1)
	require.Contains(t, cdc.Explain(found[0]).What, "key column id: type numeric")
	requireTypeFirst(t, found[0], again)
	require.NotContains(t, d.list(t, Options{Selection: excludes(t, cdc.Explain(found[0]).Try[0].Command)}), "t")
	d.exec(t, "ALTER TABLE t ALTER id TYPE int")
	require.Contains(t, d.list(t, Options{}), "t")

	wire := func(oid uint32, mod int32) error {
		return tables.Match(list[0], &cdc.WireRelation{Schema: "public", Name: "t", Identity: 'd', Columns: []cdc.WireColumn{
			{Name: "id", TypeOID: oid, TypeMod: mod, Key: true}, {Name: "v", TypeOID: 25, TypeMod: -1},
		}})
	}
	require.NoError(t, wire(23, -1))
	require.Contains(t, cdc.Explain(wire(1700, -1)).What, "key column id is of type numeric")
	requireTypeFirst(t, wire(1700, -1), again)
	for oid, mod := range map[uint32]int32{20: -1, 1700: 10<<16 + 4, 987654: -1} { // bigint, numeric(10,0), and one whose name is not known
		require.Equal(t, []cdc.Remedy{{Command: again}}, cdc.Explain(wire(oid, mod)).Try)
	}

	d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	tables = d.tables(Options{})
	_, err = tables.List(t.Context())
	require.NoError(t, err)
	d.exec(t, "ALTER TABLE t DROP id")
	found = drift(t, tables)
	require.Len(t, found, 1)
	require.Equal(t, cdc.Remedy{Command: "give public.t a primary key; then " + again}, cdc.Explain(found[0]).Try[0])
}

// requireTypeFirst: the table is left out, or its key's column gets another type and it is copied again.
func requireTypeFirst(t *testing.T, err error, again string) {
	t.Helper()
	try := cdc.Explain(err).Try
	require.Len(t, try, 2)
	require.Contains(t, try[0].Command, `add "!public.t" to source.tables`)
	require.Equal(t, "give the column a type that can be a key; then "+again, try[1].Command)
}
