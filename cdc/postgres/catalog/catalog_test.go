package catalog

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

func TestTypes(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		d.fresh(t, "CREATE TYPE mood AS ENUM ('ok')", "CREATE TYPE pair AS (a int, b int)", "CREATE DOMAIN zip5 AS char(5)",
			"CREATE DOMAIN money_in AS numeric(12,2)", "CREATE DOMAIN money_out AS money_in NOT NULL", "CREATE DOMAIN tags AS text[]", "CREATE DOMAIN amounts AS numeric(6,1)[]")
		type want struct {
			sql    string
			kind   schemas.Kind
			p, s   int
			binary bool
		}
		k := func(sql string, kind schemas.Kind) want { return want{sql: sql, kind: kind, binary: true} }
		text := func(sql string) want { return want{sql: sql, kind: schemas.KindOther} }
		array := func(sql string, elem schemas.Kind) want {
			return want{sql: sql, kind: schemas.KindArray, binary: true, s: int(elem)}
		}
		cases := []want{
			k("boolean", schemas.KindBool), k("smallint", schemas.KindInt2), k("integer", schemas.KindInt4), k("bigint", schemas.KindInt8),
			k("real", schemas.KindFloat4), k("double precision", schemas.KindFloat8), k("date", schemas.KindDate),
			k("timestamp without time zone", schemas.KindTimestamp), k("timestamp(3) with time zone", schemas.KindTimestampTZ),
			k("uuid", schemas.KindUUID), k("bytea", schemas.KindBytea), k("text", schemas.KindText), k("character varying(20)", schemas.KindText),
			k("character(3)", schemas.KindText), k("name", schemas.KindText), k("json", schemas.KindJSON), k("jsonb", schemas.KindJSONB),
			{sql: `"char"`, kind: schemas.KindText}, // its bytes need not be UTF-8, its text is
			{sql: "numeric(12,2)", kind: schemas.KindNumeric, p: 12, s: 2, binary: true},
			{sql: "numeric(76,0)", kind: schemas.KindNumeric, p: 76, binary: true},
			k("numeric", schemas.KindNumericText), k("numeric(77,3)", schemas.KindNumericText),
			k("mood", schemas.KindEnum), k("zip5", schemas.KindText),
			{sql: "money_in", kind: schemas.KindNumeric, p: 12, s: 2, binary: true},
			{sql: "money_out", kind: schemas.KindNumeric, p: 12, s: 2, binary: true},
			array("integer[]", schemas.KindInt4), array("mood[]", schemas.KindEnum), array("tags", schemas.KindText), array("numeric[]", schemas.KindNumericText),
			array("numeric(6,1)[]", schemas.KindNumeric), array("amounts", schemas.KindNumeric),
			text("zip5[]"), text("pair"), text("pair[]"), text("int4range"), text("int4multirange"), text("daterange[]"), text("inet"), text("cidr"),
			text("macaddr"), text("interval"), text("time without time zone"), text("time with time zone"), text("point"), text("box[]"), text("money"),
			text("bit(3)"), text("bit varying"), text("xml"), text("tsvector"), text("tsquery"), text("oid"), text("xid"), text("pg_lsn"),
			text("regclass"), text("oidvector"), text("int2vector"), text("jsonpath"), text("txid_snapshot"), text("tid"),
		}
		if d.major >= 15 {
			cases = append(cases, k("numeric(5,-2)", schemas.KindNumericText), k("numeric(3,5)", schemas.KindNumericText))
		}
		columns := []string{"id int PRIMARY KEY"}
		for i, c := range cases {
			columns = append(columns, fmt.Sprintf("c%d %s", i, c.sql))
		}
		d.exec(t, "CREATE TABLE t ("+strings.Join(columns, ", ")+")")
		rel := d.relation(t, "t")
		for i, c := range cases {
			got := rel.Columns[i+1].Type
			require.Equal(t, c.kind, got.Kind, c.sql)
			require.Equal(t, c.sql, got.Name)
			require.Equal(t, c.binary, decodesBinary(got), c.sql)
			if c.kind == schemas.KindArray {
				require.Equal(t, schemas.Kind(c.s), got.Elem.Kind, c.sql)
				require.False(t, strings.HasSuffix(got.Elem.Name, "[]") || got.Elem.Name == c.sql, got.Elem.Name)
				continue
			}
			require.Equal(t, [2]int{c.p, c.s}, [2]int{got.Precision, got.Scale}, c.sql)
			require.Nil(t, got.Elem)
		}
		require.NotEqual(t, rel.Columns[len(rel.Columns)-1].Type.OID, uint32(0))
	})
}

func TestColumns(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		virtual := ""
		if d.major >= 18 {
			virtual = ", w int GENERATED ALWAYS AS (id + 2) VIRTUAL"
		}
		d.fresh(t, "CREATE DOMAIN filled AS text NOT NULL",
			"CREATE TABLE parent (id int PRIMARY KEY, gone int, v text, g int GENERATED ALWAYS AS (id + 1) STORED"+virtual+", n int NOT NULL, f filled, \"Odd \"\"name\" int)",
			"ALTER TABLE parent DROP gone", "CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent)", "INSERT INTO child (id, n, f) VALUES (5, 1, 'x')",
			"COMMENT ON TABLE parent IS 'it''s \\ a parent'", "DO $$BEGIN EXECUTE format('COMMENT ON COLUMN parent.n IS %L', repeat('é', 1001)); END$$")
		rel := d.relation(t, "parent")
		require.Equal(t, "it's \\ a parent", rel.Comment)
		require.Equal(t, strings.Repeat("é", schemas.CommentLength), rel.Columns[2].Comment)
		require.Empty(t, rel.Columns[0].Comment+d.relation(t, "child").Comment)
		var names []string
		for _, c := range rel.Columns {
			names = append(names, fmt.Sprintf("%d %s %t %t", c.Attnum, c.Name, c.NotNull, c.Toastable))
		}
		last := 7
		if virtual != "" {
			last = 8
		}
		require.Equal(t, []string{"1 id true false", "3 v false true", fmt.Sprintf("%d n true false", last-2), fmt.Sprintf("%d f true true", last-1), fmt.Sprintf("%d Odd \"name false false", last)}, names)
		tables := d.tables(Options{})
		listed, err := tables.List(t.Context())
		require.NoError(t, err)
		for _, table := range listed {
			r, err := tables.Ranges(table)
			require.NoError(t, err)
			require.Len(t, readAll(t, r, 10), map[string]int{"parent": 0, "child": 1}[table.Name], "a parent is copied without its children")
			r.Close(t.Context())
		}
	})
}

func TestKeys(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		collation := "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false)"
		if _, err := d.conn.Exec(t.Context(), collation); err != nil {
			collation = "" // a server built without ICU
		}
		d.exec(t, "DROP COLLATION IF EXISTS loose")
		for _, test := range []struct {
			name, sql string
			keys      []string // of the config
			key       string   // what it is, or
			refused   string   // why not
		}{
			{"primary key", "CREATE TABLE t (a int, b int, c text, PRIMARY KEY (b, a))", nil, "b a", ""},
			{"include", "CREATE TABLE t (a int, b int, PRIMARY KEY (b) INCLUDE (a))", nil, "b", ""},
			{"full with a primary key", "CREATE TABLE t (a int PRIMARY KEY, b int); ALTER TABLE t REPLICA IDENTITY FULL", nil, "a", ""},
			{"using index", "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL); CREATE UNIQUE INDEX i ON t (b); ALTER TABLE t REPLICA IDENTITY USING INDEX i", nil, "b", ""},
			{"index dropped", "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL); CREATE UNIQUE INDEX i ON t (b); ALTER TABLE t REPLICA IDENTITY USING INDEX i; DROP INDEX i", nil, "", "names an index that is gone"},
			{"nothing", "CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING", nil, "", "is NOTHING"},
			{"no key", "CREATE TABLE t (a int)", nil, "", "it has no primary key"},
			{"deferrable", "CREATE TABLE t (a int PRIMARY KEY DEFERRABLE)", nil, "", "DEFERRABLE"},
			{"unlogged", "CREATE UNLOGGED TABLE t (a int PRIMARY KEY)", nil, "", "UNLOGGED"},
			{"partitioned", "CREATE TABLE t (a int PRIMARY KEY) PARTITION BY RANGE (a)", nil, "", "partitioned"},
			{"generated", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY)", nil, "", "generated column"},
			{"float", "CREATE TABLE t (a float8 PRIMARY KEY)", nil, "", "different encodings"},
			{"other type", "CREATE TABLE t (a inet PRIMARY KEY)", nil, "", "different encodings"},
			{"loose collation", collation + "; CREATE TABLE t (a text COLLATE loose PRIMARY KEY)", nil, "", "nondeterministic"},
			{"named", "CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX ON t (a, b); ALTER TABLE t REPLICA IDENTITY FULL", []string{"b", "a"}, "b a", ""},
			{"named, nullable", "CREATE TABLE t (a int); CREATE UNIQUE INDEX ON t (a); ALTER TABLE t REPLICA IDENTITY FULL", []string{"a"}, "", "no unique, non-deferrable, NOT NULL index"},
			{"named, one of two nullable", "CREATE TABLE t (a int NOT NULL, b int); CREATE UNIQUE INDEX ON t (a, b); ALTER TABLE t REPLICA IDENTITY FULL", []string{"a"}, "", "no unique, non-deferrable, NOT NULL index"},
			{"named, partial", "CREATE TABLE t (a int NOT NULL); CREATE UNIQUE INDEX ON t (a) WHERE a > 5; ALTER TABLE t REPLICA IDENTITY FULL", []string{"a"}, "", "no unique, non-deferrable, NOT NULL index"},
			{"named, expression", "CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX ON t (a, (b + 1)); ALTER TABLE t REPLICA IDENTITY FULL", []string{"a"}, "", "no unique, non-deferrable, NOT NULL index"},
			{"named, deferrable", "CREATE TABLE t (a int NOT NULL UNIQUE DEFERRABLE); ALTER TABLE t REPLICA IDENTITY FULL", []string{"a"}, "", "no unique, non-deferrable, NOT NULL index"},
			{"named, no identity", "CREATE TABLE t (a int NOT NULL UNIQUE)", []string{"a"}, "", "no key with its deletes"},
			{"named, column is missing", "CREATE TABLE t (a int NOT NULL UNIQUE); ALTER TABLE t REPLICA IDENTITY FULL", []string{"x"}, "", "which Postgres does not send"},
			{"named in addition to a primary key", "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE)", []string{"b"}, "", "whose key is (a)"},
			{"named like the primary key", "CREATE TABLE t (a int PRIMARY KEY)", []string{"a"}, "a", ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				if collation == "" && strings.Contains(test.sql, "COLLATE loose") {
					return
				}
				d.fresh(t, test.sql)
				o := Options{}
				if test.keys != nil {
					o.Keys = map[string][]string{"public.t": test.keys}
				}
				tables := d.tables(o)
				list, err := tables.List(t.Context())
				require.NoError(t, err)
				require.Len(t, list, 1)
				if err := list[0].Refused; test.refused != "" {
					problem := cdc.Explain(err)
					require.Contains(t, problem.What, test.refused)
					require.Contains(t, problem.What, "public.t")
					require.NotEmpty(t, problem.Try)
					require.NotContains(t, err.Error(), "\n")
					require.Empty(t, tables.known)
					return
				}
				require.NoError(t, list[0].Refused)
				for _, k := range tables.known {
					var key []string
					for _, i := range k.rel.Key {
						key = append(key, k.rel.Columns[i].Name)
					}
					require.Equal(t, test.key, strings.Join(key, " "))
				}
			})
		}
	})
}

// checks says what it holds when asked for names.
type checks struct {
	all
	says error
}

func (c checks) Check([]*schemas.Relation) error { return c.says }

// TestList: each table that cannot be captured says so itself, and names that match nothing are listed apart.
func TestList(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE a (x int)", "CREATE TABLE b (x int PRIMARY KEY)", "CREATE TABLE c (x int PRIMARY KEY)", `CREATE TABLE s_d (x int PRIMARY KEY)`,
		"CREATE TABLE complete_up_to (x int PRIMARY KEY)", "CREATE TABLE unnamed (x int)", "DROP SCHEMA IF EXISTS s CASCADE", "CREATE SCHEMA s", `CREATE TABLE s.d (x int PRIMARY KEY)`)
	says := func(text string) error { return errors.New(text) }
	o := Options{Selection: checks{all{"unnamed"}, errors.Join(says("no table z"), errors.Join(
		&TableError{Table: "public.b", Err: says("no column x")}, &TableError{Table: "public.b", Err: says("nor y")},
		&TableError{Table: "public.c", BlocksStart: true, Err: says("may be another")}, &TableError{Table: "public.unnamed", Err: says("no column u")},
	), says("no table y"))}}
	tables := d.tables(o)
	list, err := tables.List(t.Context())
	require.NoError(t, err)
	refused, blocked := map[string]string{}, map[string]string{}
	for _, table := range list {
		if table.Refused != nil {
			refused[table.FullName()] = cdc.Explain(table.Refused).What
			require.Equal(t, table.Name != "a", table.RefusedByConfig, "the lack of a key is no matter of the config")
			require.NotEmpty(t, table.Shape)
			require.NotZero(t, table.OID)
			_, err := tables.Encoder(t.Context(), table)
			require.Error(t, err, "nothing of it can be encoded")
		}
		if table.BlocksStart != nil {
			blocked[table.FullName()] = table.BlocksStart.Error()
		}
	}
	require.Len(t, list, 5)
	require.Equal(t, map[string]string{
		"public.a":              "table public.a cannot be captured: it has no primary key",
		"public.b":              "no column x; nor y",
		"public.complete_up_to": `public.complete_up_to would take the name of dirtbike's own view "complete_up_to"`,
	}, refused)
	require.Equal(t, []cdc.Remedy{{Command: "give public.a a primary key"}, {Command: "ALTER TABLE public.a REPLICA IDENTITY USING INDEX with a unique index on NOT NULL columns"},
		{Command: "ALTER TABLE public.a REPLICA IDENTITY FULL, and name NOT NULL columns that have a unique index in source.keys"}, {Command: `exclude it with "!public.a" under source.tables`}}, cdc.Explain(list[0].Refused).Try)
	require.Equal(t, map[string]string{"public.c": "may be another"}, blocked)
	var misnamed []string
	for _, err := range tables.UnmatchedNames() {
		misnamed = append(misnamed, err.Error())
	}
	require.Equal(t, []string{"no table z", "no table y", "no column u"}, misnamed)
	require.Len(t, tables.UnselectedTables(), 2, "public.unnamed and s.d")
}

// everywhere selects all schemas.
type everywhere struct{ all }

func (everywhere) Match(string, string) bool { return true }

// TestClashes: of two tables that would share a name neither may be begun, since one of them may be captured already.
func TestClashes(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE s_d (x int PRIMARY KEY)", "DROP SCHEMA IF EXISTS s CASCADE", "CREATE SCHEMA s", "CREATE TABLE s.d (x int PRIMARY KEY)")
	list, err := d.tables(Options{Selection: everywhere{}}).List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, table := range list {
		require.NoError(t, table.Refused)
		why := cdc.Explain(table.BlocksStart)
		require.Equal(t, `public.s_d and s.d would share the ClickHouse view "s_d"`, why.What)
		require.Equal(t, []cdc.Remedy{{Command: `add "!public.s_d" to source.tables`}, {Command: `add "!s.d" to source.tables`}}, why.Try)
	}
	for _, left := range []string{"s_d", "d"} {
		list, err = d.tables(Options{Selection: allBut{left}}).List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.NoError(t, list[0].BlocksStart)
	}
}

func TestListErrors(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t)
	list, err := d.tables(Options{}).List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	wrong := d.tables(Options{})
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/x", "postgres://u:hunt%zz@h/x"} {
		wrong.options.Login.URL = url
		_, err = wrong.List(t.Context())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunt")
		require.NotContains(t, err.Error(), "\n")
	}
}

// TestLabels: a renamed label is seen however deep the enum lies beneath the column's type, an added one is not taken
// for a change.
func TestLabels(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		for column, sql := range map[string]string{
			"mood": "", "mood[]": "", "d1": "CREATE DOMAIN d1 AS mood", "d2": "CREATE DOMAIN d1 AS mood; CREATE DOMAIN d2 AS d1",
			"d3[]": "CREATE DOMAIN d1 AS mood; CREATE DOMAIN d2 AS d1; CREATE DOMAIN d3 AS d2", "l2": "CREATE DOMAIN l1 AS mood[]; CREATE DOMAIN l2 AS l1",
			"pair": "CREATE TYPE pair AS (a int, m mood)", "pair[]": "CREATE TYPE pair AS (a int, m mood)", "span": "CREATE TYPE span AS RANGE (subtype = mood)",
			"span_multirange": "CREATE TYPE span AS RANGE (subtype = mood, multirange_type_name = span_multirange)",
		} {
			d.fresh(t, "CREATE TYPE mood AS ENUM ('ok', 'poor'); "+sql, "CREATE TABLE t (id int PRIMARY KEY, m "+column+", other text, p point, n name)")
			tables := d.tables(Options{})
			listed, err := tables.List(t.Context())
			require.NoError(t, err)
			requireNoLabel(t, listed[0].Shape, "ok", "poor")
			d.exec(t, "ALTER TYPE mood ADD VALUE 'better'")
			require.Empty(t, drift(t, tables), column)
			d.exec(t, "ALTER TYPE mood RENAME VALUE 'ok' TO 'okay'")
			require.Len(t, drift(t, tables), 1, column)
		}
	})
}

// requireNoLabel: what is stored of a table has neither its labels nor a hash of one, which could be guessed.
func requireNoLabel(t *testing.T, shape string, labels ...string) {
	t.Helper()
	for _, label := range labels {
		for _, sum := range [][]byte{hashed(sha256.New(), label), hashed(sha1.New(), label), hashed(md5.New(), label), hashed(fnv.New64a(), label), hashed(crc32.NewIEEE(), label)} {
			require.NotContains(t, shape, hex.EncodeToString(sum[:4]))
		}
		require.NotContains(t, shape, label)
	}
}

func hashed(h hash.Hash, text string) []byte {
	h.Write([]byte(text))
	return h.Sum(nil)
}

// TestNamedKeyLost: the index of a key from the config is checked, too.
func TestNamedKeyLost(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		const again = "dirtbike resnapshot public.t"
		for _, test := range []struct{ sql, says, fix string }{
			{"DROP INDEX i", "no unique, non-deferrable, NOT NULL index", "CREATE UNIQUE INDEX ON public.t (b, a), and SET NOT NULL; then " + again},
			{"ALTER TABLE t ALTER b DROP NOT NULL", "no unique, non-deferrable, NOT NULL index", "CREATE UNIQUE INDEX ON public.t (b, a), and SET NOT NULL; then " + again},
			{"ALTER TABLE t ADD PRIMARY KEY (id)", "whose key is (id)", "leave it out of source.keys; then " + again},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX i", "", ""}, // (a, b), in another order
			{"ALTER TABLE t REPLICA IDENTITY DEFAULT", "has no primary key, so Postgres sends no key with its deletes", "ALTER TABLE public.t REPLICA IDENTITY FULL, or USING INDEX; then " + again},
			{"DROP INDEX i; CREATE UNIQUE INDEX j ON t (b, a)", "", ""},
			{"CREATE INDEX ON t (id)", "", ""},
			{"DROP TABLE t", "the table was dropped; its view stays as it was", "restart capture, which then leaves it out"},
			{"DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)", "the table was dropped and made again", again},
		} {
			d.fresh(t, "CREATE TABLE t (id int, a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (a, b); ALTER TABLE t REPLICA IDENTITY FULL")
			tables := d.tables(Options{Keys: map[string][]string{"public.t": {"b", "a"}}})
			list, err := tables.List(t.Context())
			require.NoError(t, err)
			require.NoError(t, list[0].Refused)
			d.exec(t, test.sql)
			found := drift(t, tables)
			if test.says == "" {
				require.Empty(t, found, test.sql)
				continue
			}
			require.Len(t, found, 1, test.sql)
			problem := cdc.Explain(found[0])
			require.Contains(t, problem.What, test.says)
			require.Equal(t, []cdc.Remedy{{Command: test.fix}}, problem.Try)

			o := Options{Keys: map[string][]string{"public.t": {"b", "a"}}}
			switch first, _, _ := strings.Cut(test.fix, "; then "); {
			case strings.HasPrefix(first, "CREATE UNIQUE INDEX ON public.t"):
				index, notNull, _ := strings.Cut(first, ", and ")
				d.exec(t, index, "ALTER TABLE t ALTER a "+notNull+", ALTER b "+notNull)
			case first == "leave it out of source.keys":
				o.Keys = nil
			case strings.HasPrefix(first, "ALTER TABLE "):
				full, _, _ := strings.Cut(first, ", or ")
				d.exec(t, full)
			case first == again: // that is another table, with a key of its own
				o.Keys = nil
			}
			list, err = d.tables(o).List(t.Context())
			require.NoError(t, err)
			for _, table := range list { // none is left where it was dropped
				require.NoError(t, table.Refused, test.sql)
			}
		}
	})
}

// TestReplicaIdentity: another replica identity with the same key is no drift, and leaves the key and its order as they
// were; one that gives another key, or none, is.
func TestReplicaIdentity(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		for _, test := range []struct {
			sql  string
			same bool
		}{
			{"ALTER TABLE t REPLICA IDENTITY FULL", true},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey", true},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX ba", true},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX ab", true},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX b", false},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX abc", false},
			{"ALTER TABLE t REPLICA IDENTITY NOTHING", false},
			{"ALTER TABLE t REPLICA IDENTITY USING INDEX ba; DROP INDEX ba", false},
			{"ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", false},
		} {
			d.fresh(t, "CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int NOT NULL, v text, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX ba ON t (b, a);"+
				"CREATE UNIQUE INDEX ab ON t (a, b) INCLUDE (c); CREATE UNIQUE INDEX b ON t (b); CREATE UNIQUE INDEX abc ON t (a, b, c)")
			tables := d.tables(Options{})
			was, err := tables.List(t.Context())
			require.NoError(t, err)
			d.exec(t, test.sql)
			require.Equal(t, test.same, len(drift(t, tables)) == 0, test.sql)
			if test.same {
				now := d.list(t, Options{})["t"]
				require.Equal(t, was[0].KeyPrint, now.KeyPrint, test.sql)
				require.Equal(t, was[0].Shape, now.Shape, test.sql)
			}
		}
	})
}

// TestPrints: what changes which fingerprint decides what a restart refuses, quarantines or lets pass.
func TestPrints(t *testing.T) {
	d := newDatabase(t, "18")
	one := func(sql string, policies keep) *cdc.Table {
		d.fresh(t, sql)
		return d.list(t, Options{Policies: policies})["t"]
	}
	const sql = "CREATE TABLE t (id int PRIMARY KEY, v text, w text)"
	base := one(sql, keep{})
	same := func(o *cdc.Table) [3]bool {
		return [3]bool{base.KeyPrint == o.KeyPrint, base.PolicyPrint == o.PolicyPrint, base.Shape == o.Shape}
	}
	require.Equal(t, [3]bool{true, true, true}, same(one(sql, keep{})))
	require.Equal(t, [3]bool{true, false, true}, same(one(sql, keep{"v": nil})))
	require.Equal(t, [3]bool{true, false, true}, same(one(sql, keep{"v": mask{"a"}})))
	require.NotEqual(t, one(sql, keep{"v": mask{"a"}}).PolicyPrint, one(sql, keep{"v": mask{"b"}}).PolicyPrint)
	require.NotEqual(t, one(sql, keep{"v": mask{"a"}}).PolicyPrint, one(sql, keep{"w": mask{"a"}}).PolicyPrint)
	require.Equal(t, [3]bool{true, true, false}, same(one(sql+"; ALTER TABLE t ADD x int DEFAULT 5", keep{})), "an added column is no change of the policy")
	require.Equal(t, [3]bool{true, true, false}, same(one(sql+"; ALTER TABLE t ALTER v TYPE varchar(5)", keep{})))
	require.Equal(t, [3]bool{true, true, false}, same(one(sql+"; ALTER TABLE t RENAME v TO x", keep{})))
	require.Equal(t, [3]bool{true, true, false}, same(one(sql+"; ALTER TABLE t DROP w; ALTER TABLE t ADD w text", keep{})), "the same name, other values")
	require.Equal(t, [3]bool{true, true, true}, same(one(sql+"; ALTER TABLE t ALTER v SET NOT NULL; CREATE INDEX ON t (v)", keep{})))
	require.Equal(t, [3]bool{false, true, false}, same(one(sql+"; ALTER TABLE t ALTER id TYPE bigint", keep{})))
}
