package oracle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// typeCase is a column with what Postgres holds, what ClickHouse must then show, and wrong values.
type typeCase struct {
	name, pgType, chType string
	pg                   string   // SQL literal
	ch                   string   // SQL literal
	exact                string   // text in _inexact
	wrong                []string // SQL literals that must be found
}

var typeCases = []typeCase{
	{name: "bool", pgType: "bool", chType: "Nullable(Bool)", pg: "true", ch: "true", wrong: []string{"false", "NULL"}},
	{name: "int2", pgType: "int2", chType: "Nullable(Int16)", pg: "-32768", ch: "-32768", wrong: []string{"32767", "0", "NULL"}},
	{name: "int4", pgType: "int4", chType: "Nullable(Int32)", pg: "2147483647", ch: "2147483647", wrong: []string{"2147483646"}},
	{name: "int8", pgType: "int8", chType: "Nullable(Int64)", pg: "9223372036854775807", ch: "9223372036854775807", wrong: []string{"9223372036854775806"}},
	{name: "zero against null", pgType: "int8", chType: "Nullable(Int64)", pg: "NULL", ch: "NULL", wrong: []string{"0"}},
	{name: "float4", pgType: "float4", chType: "Nullable(Float32)", pg: "0.1", ch: "toFloat32(0.1)", wrong: []string{"toFloat32(0.10000001)", "NULL"}},
	{name: "float8", pgType: "float8", chType: "Nullable(Float64)", pg: "0.1", ch: "0.1", wrong: []string{"0.10000000000000002"}},
	{name: "float8 large", pgType: "float8", chType: "Nullable(Float64)", pg: "1e20", ch: "1e20", wrong: []string{"1.0000000000000001e20 + 16384"}},
	{name: "float8 NaN", pgType: "float8", chType: "Nullable(Float64)", pg: "'NaN'", ch: "nan", wrong: []string{"NULL", "0", "inf"}},
	{name: "float8 -Infinity", pgType: "float8", chType: "Nullable(Float64)", pg: "'-Infinity'", ch: "-inf", wrong: []string{"inf"}},
	{name: "float8 negative zero", pgType: "float8", chType: "Nullable(Float64)", pg: "'-0'", ch: "-0.", wrong: []string{"0."}},
	{name: "decimal", pgType: "numeric(12,2)", chType: "Nullable(Decimal(12, 2))", pg: "1234567890.10", ch: "toDecimal64('1234567890.10', 2)",
		wrong: []string{"toDecimal64('1234567890.11', 2)", "toDecimal64('1234567890.09', 2)", "NULL"}},
	{name: "decimal scale 0", pgType: "numeric(5)", chType: "Nullable(Decimal(5, 0))", pg: "100", ch: "100", wrong: []string{"101"}},
	{name: "decimal wide", pgType: "numeric(76,10)", chType: "Nullable(Decimal(76, 10))", pg: "123456789012345678901234567890.0000000001",
		ch: "toDecimal256('123456789012345678901234567890.0000000001', 10)", wrong: []string{"toDecimal256('123456789012345678901234567890.0000000002', 10)"}},
	{name: "decimal NaN", pgType: "numeric(12,2)", chType: "Nullable(Decimal(12, 2))", pg: "'NaN'", ch: "NULL", exact: "NaN", wrong: []string{"0"}},
	{name: "numeric", pgType: "numeric", chType: "Nullable(String)", pg: "1.500", ch: "'1.500'", wrong: []string{"'1.5'", "'1.501'"}},
	{name: "numeric NaN", pgType: "numeric", chType: "Nullable(String)", pg: "'NaN'", ch: "'NaN'", wrong: []string{"NULL"}},
	{name: "date", pgType: "date", chType: "Nullable(Date32)", pg: "'2024-02-29'", ch: "toDate32('2024-02-29')", wrong: []string{"toDate32('2024-03-01')", "NULL"}},
	{name: "date 9999", pgType: "date", chType: "Nullable(Date32)", pg: "'9999-12-31'", ch: "toDate32('2299-12-31')", exact: "9999-12-31", wrong: []string{"NULL", "toDate32('2299-12-30')"}},
	{name: "date infinity", pgType: "date", chType: "Nullable(Date32)", pg: "'infinity'", ch: "toDate32('2299-12-31')", exact: "infinity", wrong: []string{"NULL"}},
	{name: "date BC", pgType: "date", chType: "Nullable(Date32)", pg: "'0044-03-15 BC'", ch: "toDate32('1900-01-01')", exact: "0044-03-15 BC", wrong: []string{"toDate32('1970-01-01')"}},
	{name: "timestamp", pgType: "timestamp", chType: "Nullable(DateTime64(6, 'UTC'))", pg: "'2024-05-06 07:08:09.123456'", ch: "toDateTime64('2024-05-06 07:08:09.123456', 6, 'UTC')",
		wrong: []string{"toDateTime64('2024-05-06 07:08:09.123457', 6, 'UTC')", "toDateTime64('2024-05-06 07:08:09.123', 6, 'UTC')"}},
	{name: "timestamptz", pgType: "timestamptz", chType: "Nullable(DateTime64(6, 'UTC'))", pg: "'2024-05-06 07:08:09.5+02'", ch: "toDateTime64('2024-05-06 05:08:09.5', 6, 'UTC')",
		wrong: []string{"toDateTime64('2024-05-06 07:08:09.5', 6, 'UTC')", "toDateTime64('2024-05-06 05:08:09.500001', 6, 'UTC')"}},
	{name: "timestamptz infinity", pgType: "timestamptz", chType: "Nullable(DateTime64(6, 'UTC'))", pg: "'-infinity'", ch: "toDateTime64('1900-01-01 00:00:00', 6, 'UTC')", exact: "-infinity", wrong: []string{"NULL"}},
	{name: "timestamptz 10000", pgType: "timestamptz", chType: "Nullable(DateTime64(6, 'UTC'))", pg: "'10000-01-01 00:00:00.5+00'", ch: "toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC')",
		exact: "10000-01-01 00:00:00.5+00", wrong: []string{"toDateTime64('2299-12-31 23:59:59', 6, 'UTC')"}},
	{name: "uuid", pgType: "uuid", chType: "Nullable(UUID)", pg: "'00112233-4455-6677-8899-aabbccddeeff'", ch: "toUUID('00112233-4455-6677-8899-aabbccddeeff')",
		wrong: []string{"toUUID('00112233-4455-6677-8899-aabbccddeefe')"}},
	{name: "bytea", pgType: "bytea", chType: "Nullable(String)", pg: `'\x00ff5c27'`, ch: "unhex('00ff5c27')", wrong: []string{`'\\x00ff5c27'`, "unhex('00ff5c')", "''", "NULL"}},
	{name: "json", pgType: "json", chType: "Nullable(String)", pg: `'{"b":1, "a":  2}'`, ch: `'{"b":1, "a":  2}'`, wrong: []string{`'{"b":1,"a":2}'`}},
	{name: "jsonb", pgType: "jsonb", chType: "Nullable(String)", pg: `'{"b":1, "a":  2}'`, ch: `'{"a": 2, "b": 1}'`, wrong: []string{`'{"a":2,"b":1}'`, "'null'"}},
	{name: "enum", pgType: "mood", chType: "LowCardinality(Nullable(String))", pg: "'so so'", ch: "'so so'", wrong: []string{"'good'", "NULL"}},
	{name: "domain", pgType: "positive", chType: "Nullable(Decimal(8, 3))", pg: "1.25", ch: "toDecimal64('1.25', 3)", wrong: []string{"toDecimal64('1.251', 3)"}},
	{name: "text", pgType: "text", chType: "Nullable(String)", pg: `E'it''s\n"ä"\\'`, ch: `'it\'s\n"ä"\\'`, wrong: []string{`'it\'s "ä"\\'`, "''"}},
	{name: "empty text", pgType: "text", chType: "Nullable(String)", pg: "''", ch: "''", wrong: []string{"NULL", "' '"}},
	{name: "null text", pgType: "text", chType: "Nullable(String)", pg: "NULL", ch: "NULL", wrong: []string{"''", "'NULL'"}},
	{name: "varchar", pgType: "varchar(10)", chType: "Nullable(String)", pg: "'x '", ch: "'x '", wrong: []string{"'x'"}},
	{name: "char(n)", pgType: "char(4)", chType: "Nullable(String)", pg: "'x'", ch: "'x   '", wrong: []string{"'x'"}},
	{name: "int array", pgType: "int4[]", chType: "Array(Nullable(Int32))", pg: "'{1,NULL,3}'", ch: "[1,NULL,3]", wrong: []string{"[1,3]", "[1,0,3]", "[3,NULL,1]", "[]"}},
	{name: "text array", pgType: "text[]", chType: "Array(Nullable(String))", pg: `ARRAY['a,b', 'NULL', NULL, '', '"\', '{}']`, ch: `['a,b', 'NULL', NULL, '', '"\\', '{}']`,
		wrong: []string{`['a,b', NULL, NULL, '', '"\\', '{}']`, `['a', 'b', 'NULL', NULL, '', '"\\', '{}']`, `['a,b', 'NULL', '', '', '"\\', '{}']`}},
	{name: "decimal array", pgType: "numeric(6,2)[]", chType: "Array(Nullable(Decimal(6, 2)))", pg: "'{1.5,-2.25}'", ch: "[toDecimal64('1.5', 2), toDecimal64('-2.25', 2)]",
		wrong: []string{"[toDecimal64('1.51', 2), toDecimal64('-2.25', 2)]"}},
	{name: "bool array", pgType: "bool[]", chType: "Array(Nullable(Bool))", pg: "'{t,f}'", ch: "[true,false]", wrong: []string{"[false,true]"}},
	{name: "date array", pgType: "date[]", chType: "Array(Nullable(Date32))", pg: "'{2024-01-01,infinity}'", ch: "[]", exact: "{2024-01-01,infinity}",
		wrong: []string{"[toDate32('2024-01-01'), NULL]", "[toDate32('2024-01-01'), toDate32('2299-12-31')]"}},
	{name: "date array out of bounds", pgType: "date[]", chType: "Array(Nullable(Date32))", pg: "'{2024-01-01,9999-12-31}'", ch: "[toDate32('2024-01-01'), toDate32('2299-12-31')]", exact: "{2024-01-01,9999-12-31}",
		wrong: []string{"[]"}},
	{name: "empty array", pgType: "int4[]", chType: "Array(Nullable(Int32))", pg: "'{}'", ch: "[]", wrong: []string{"[NULL]"}},
	{name: "null array", pgType: "int4[]", chType: "Array(Nullable(Int32))", pg: "NULL", ch: "[]", exact: "NULL", wrong: []string{"[NULL]"}},
	{name: "array of two dimensions", pgType: "int4[]", chType: "Array(Nullable(Int32))", pg: "'{{1,2},{3,4}}'", ch: "[]", exact: "{{1,2},{3,4}}", wrong: []string{"[1,2,3,4]"}},
	{name: "array from 0", pgType: "int4[]", chType: "Array(Nullable(Int32))", pg: "'[0:1]={1,2}'", ch: "[]", exact: "[0:1]={1,2}", wrong: []string{"[1,2]"}},
	{name: "box array", pgType: "box[]", chType: "Array(Nullable(String))", pg: "'{(1,1),(0,0);(2,2),(1,1)}'", ch: "['(1,1),(0,0)', '(2,2),(1,1)']", wrong: []string{"['(1,1),(0,0)']"}},
	{name: "inet", pgType: "inet", chType: "Nullable(String)", pg: "'127.0.0.1'", ch: "'127.0.0.1'", wrong: []string{"'127.0.0.1/32'"}},
	{name: "interval", pgType: "interval", chType: "Nullable(String)", pg: "'1 year 2 mons 3 days 04:05:06.789'", ch: "'1 year 2 mons 3 days 04:05:06.789'", wrong: []string{"'P1Y2M3DT4H5M6.789S'"}},
	{name: "timetz", pgType: "timetz", chType: "Nullable(String)", pg: "'04:05:06.7+02'", ch: "'04:05:06.7+02'", wrong: []string{"'02:05:06.7+00'"}},
}

// insertCH is the statement that shows the case's row: right values, or a wrong one.
func (c typeCase) insertCH(table string, id int, value string) string {
	if !parseCHType(c.chType).mayBeInexact() {
		return fmt.Sprintf("INSERT INTO %s VALUES (%d, %s)", table, id, value)
	}
	exact := "map()"
	if c.exact != "" {
		exact = "map('v', '" + c.exact + "')"
	}
	return fmt.Sprintf("INSERT INTO %s SELECT %d, %s, CAST(%s AS Map(String, String))", table, id, value, exact)
}

// inexactDDL is the view's last column, if its types need one.
func (c typeCase) inexactDDL() string {
	if parseCHType(c.chType).mayBeInexact() {
		return ", _inexact Map(String, String)"
	}
	return ""
}

// Each type: the right value is equal, and each wrong one, a missing row, an extra row and a doubled one are found.
func TestEveryTypeCanFail(t *testing.T) {
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, "CREATE TYPE mood AS ENUM ('good', 'so so'); CREATE DOMAIN positive AS numeric(8,3) CHECK (VALUE > 0)")
	for i, c := range typeCases {
		t.Run(c.name, func(t *testing.T) {
			table := Table{Schema: "public", Name: fmt.Sprintf("t%d", i), CHDatabase: database}
			embeddedtest.ExecOn(t, pg, fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, v %s); INSERT INTO %s VALUES (1, %s)", table.Name, c.pgType, table.Name, c.pg))
			view := database + "." + table.Name
			embeddedtest.ExecClickHouse(t, ch, fmt.Sprintf("CREATE TABLE %s (id Int32, v %s%s) ENGINE = Memory", view, c.chType, c.inexactDDL()))
			compare := func() Diff {
				diff, err := Compare(t.Context(), pg, ch, table)
				require.NoError(t, err)
				require.Empty(t, diff.Columns)
				return diff
			}
			diff := compare()
			require.Equal(t, 1, diff.Wrong[Missing])
			require.Equal(t, []Sample{{Kind: Missing, Key: `id="1"`}}, diff.Samples)

			embeddedtest.ExecClickHouse(t, ch, c.insertCH(view, 1, c.ch))
			diff = compare()
			require.True(t, diff.Equal(), diff.String())

			embeddedtest.ExecClickHouse(t, ch, c.insertCH(view, 1, c.ch))
			require.Equal(t, 1, compare().Wrong[Duplicate])

			embeddedtest.ExecClickHouse(t, ch, "TRUNCATE TABLE "+view, c.insertCH(view, 2, c.ch))
			diff = compare()
			require.Equal(t, 1, diff.Wrong[Missing])
			require.Equal(t, 1, diff.Wrong[Extra])

			for _, wrong := range c.wrong {
				embeddedtest.ExecClickHouse(t, ch, "TRUNCATE TABLE "+view, c.insertCH(view, 1, wrong))
				diff = compare()
				require.False(t, diff.Equal(), wrong)
				require.Equal(t, 1, diff.Wrong[Differing], wrong)
				require.Equal(t, "v", diff.Samples[0].Column)
			}
		})
	}
}

// What `_inexact` says is compared too: a missing text, a wrong one, one too many, one for no column.
func TestInexactText(t *testing.T) {
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, "CREATE TABLE t (id int PRIMARY KEY, d date, e date); INSERT INTO t VALUES (1, '9999-12-31', '2024-01-01')")
	embeddedtest.ExecClickHouse(t, ch, "CREATE TABLE "+database+".t (id Int32, d Nullable(Date32), e Nullable(Date32), _inexact Map(String, String)) ENGINE = Memory")
	for exact, equal := range map[string]bool{
		"map('d', '9999-12-31')": true, "map()": false, "map('d', 'infinity')": false, "map('e', '9999-12-31')": false,
		"map('d', '9999-12-31', 'e', '2024-01-01')": false, "map('d', '9999-12-31', 'x', '')": false,
	} {
		embeddedtest.ExecClickHouse(t, ch, "TRUNCATE TABLE "+database+".t", "INSERT INTO "+database+".t SELECT 1, '2299-12-31', '2024-01-01', CAST("+exact+" AS Map(String, String))")
		diff, err := Compare(t.Context(), pg, ch, Table{Schema: "public", Name: "t", CHDatabase: database})
		require.NoError(t, err)
		require.Equal(t, equal, diff.Equal(), "%s: %s", exact, diff)
		if !equal {
			require.NotEmpty(t, diff.Samples, exact)
		}
	}
}

// Keys that saturate to one date stay two rows.
func TestSaturatedKey(t *testing.T) {
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, "CREATE TABLE t (d date PRIMARY KEY); INSERT INTO t VALUES ('9999-12-31'), ('infinity'), ('2299-12-31')")
	embeddedtest.ExecClickHouse(t, ch, "CREATE TABLE "+database+".t (d Date32, _inexact Map(String, String)) ENGINE = Memory",
		"INSERT INTO "+database+".t VALUES ('2299-12-31', map('d', '9999-12-31')), ('2299-12-31', map('d', 'infinity'))")
	table := Table{Schema: "public", Name: "t", CHDatabase: database}
	diff, err := Compare(t.Context(), pg, ch, table)
	require.NoError(t, err)
	require.Equal(t, 1, diff.Wrong[Missing], diff.String())
	require.Equal(t, `d="2299-12-31"`, diff.Samples[0].Key)
	embeddedtest.ExecClickHouse(t, ch, "INSERT INTO "+database+".t VALUES ('2299-12-31', map())")
	diff, err = Compare(t.Context(), pg, ch, table)
	require.NoError(t, err)
	require.True(t, diff.Equal(), diff.String())
}

// The view must have exactly the expected columns: each deviation is named.
func TestColumns(t *testing.T) {
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, `CREATE TABLE t (id int PRIMARY KEY, gone int, a text, "b`+"`"+`\c" int, n numeric(5,1), g int GENERATED ALWAYS AS (id + 1) STORED); ALTER TABLE t DROP COLUMN gone;
		INSERT INTO t VALUES (1, 'a', 2, 3)`)
	const odd = "`b\\`\\\\c` Nullable(Int32)"
	for ddl, problem := range map[string]string{
		"id Int32, a Nullable(String), " + odd + ", n Nullable(Decimal(5, 1)), _inexact Map(String, String)":                       "",
		"id Int32, a Nullable(String), " + odd + ", n Nullable(String)":                                                            `column "n" is String, want Decimal(5, 1)`,
		"id Int32, a Nullable(String), " + odd + ", n Nullable(Decimal(5, 1))":                                                     "want",
		"id Int32, a Nullable(String), " + odd + ", n Nullable(String), _inexact Map(String, String)":                              "want",
		"id Int32, " + odd + ", a Nullable(String), n Nullable(Decimal(5, 1)), _inexact Map(String, String)":                       "want",
		"id Int32, a Nullable(String), " + odd + ", n Nullable(Decimal(5, 1)), _inexact Map(String, String), _version UInt128":     "want",
		"id Int32, a Nullable(String), " + odd + ", _inexact Map(String, String)":                                                  "want",
		"id Int32, a Nullable(String), " + odd + ", n Nullable(Float64)":                                                           `column "n" is Float64, want Decimal(5, 1)`,
		"id Int64, a Nullable(String), " + odd + ", n Nullable(Decimal(5, 1)), _inexact Map(String, String)":                       `column "id" is Int64, want Int32`,
		"id Int32, a Nullable(String), " + odd + ", n Nullable(Decimal(5, 1)), g Nullable(Int32), _inexact Map(String, String)":    "want",
		"id Int32, gone Nullable(Int32), a Nullable(String), " + odd + ", n Nullable(Decimal(5, 1)), _inexact Map(String, String)": "want",
	} {
		embeddedtest.ExecClickHouse(t, ch, "CREATE OR REPLACE TABLE "+database+".t ("+ddl+") ENGINE = Memory")
		diff, err := Compare(t.Context(), pg, ch, Table{Schema: "public", Name: "t", CHDatabase: database})
		require.NoError(t, err)
		require.False(t, diff.Equal(), "the row is missing")
		require.Contains(t, strings.Join(diff.Columns, "\n"), problem, ddl)
		require.Equal(t, problem == "", len(diff.Columns) == 0, "%s: %q", ddl, diff.Columns)
	}
	diff, err := Compare(t.Context(), pg, ch, Table{Schema: "public", Name: "t", CHDatabase: database + "_absent"})
	require.NoError(t, err)
	require.Equal(t, []string{"the view does not exist"}, diff.Columns)
	require.False(t, diff.Equal())
}

// Policies: a masked, a hashed, a withheld column and a year, each right and each forgotten.
func TestPolicies(t *testing.T) {
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, "CREATE TABLE p (mrn text PRIMARY KEY, name text, ssn text, born date, paid numeric(8,2)); INSERT INTO p VALUES ('m1', 'Ann', '1-2', '1950-03-04', 5)")
	table := Table{Schema: "public", Name: "p", CHDatabase: database, Drop: []string{"ssn"}, Expr: map[string]string{
		"mrn": "'k1:' || encode(sha256(mrn::bytea), 'hex')", "name": "CASE WHEN name IS NOT NULL THEN '***' END",
		"born": "extract(year FROM born)::int", "paid": "0::numeric(8,2)",
	}}
	embeddedtest.ExecClickHouse(t, ch, "CREATE TABLE "+database+".p (mrn String, name Nullable(String), born Nullable(Int32), paid Nullable(Decimal(8, 2)), _inexact Map(String, String)) ENGINE = Memory")
	for row, equal := range map[string]bool{
		"'k1:' || lower(hex(SHA256('m1'))), '***', 1950, 0": true,
		"'k1:' || lower(hex(SHA256('m1'))), 'Ann', 1950, 0": false,
		"'k1:' || lower(hex(SHA256('m1'))), NULL, 1950, 0":  false,
		"'k1:' || lower(hex(SHA256('m1'))), '***', 1951, 0": false,
		"'k1:' || lower(hex(SHA256('m1'))), '***', 1950, 5": false,
		"'m1', '***', 1950, 0":                              false,
	} {
		embeddedtest.ExecClickHouse(t, ch, "TRUNCATE TABLE "+database+".p", "INSERT INTO "+database+".p SELECT "+row+", CAST(map() AS Map(String, String))")
		diff, err := Compare(t.Context(), pg, ch, table)
		require.NoError(t, err)
		require.Equal(t, equal, diff.Equal(), "%s: %s", row, diff)
	}
}

// An expression may give the text in _inexact: the year of an infinite date has no number.
func TestExact(t *testing.T) {
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, "CREATE TABLE p (id int PRIMARY KEY, born date); INSERT INTO p VALUES (1, 'infinity'), (2, '1950-03-04')")
	table := Table{Schema: "public", Name: "p", CHDatabase: database,
		Expr:  map[string]string{"born": "CASE WHEN isfinite(born) THEN extract(year FROM born)::int END"},
		Exact: map[string]string{"born": "CASE WHEN NOT isfinite(born) THEN born::text END"}}
	embeddedtest.ExecClickHouse(t, ch, "CREATE TABLE "+database+".p (id Int32, born Nullable(Int32), _inexact Map(String, String)) ENGINE = Memory")
	for exact, equal := range map[string]bool{"map('born', 'infinity')": true, "map()": false, "map('born', '')": false} {
		embeddedtest.ExecClickHouse(t, ch, "TRUNCATE TABLE "+database+".p", "INSERT INTO "+database+".p SELECT 1, NULL, CAST("+exact+" AS Map(String, String))",
			"INSERT INTO "+database+".p VALUES (2, 1950, map())")
		diff, err := Compare(t.Context(), pg, ch, table)
		require.NoError(t, err)
		require.Equal(t, equal, diff.Equal(), diff.String())
	}
}

// CompareAll finds the tables itself, maps schemas to view names, and refuses options that name nothing.
func TestCompareAll(t *testing.T) {
	url := freshDatabase(t)
	pg := embeddedtest.Connect(t, url)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, `CREATE TABLE a (id int PRIMARY KEY); CREATE SCHEMA billing; CREATE TABLE billing.claims (x text, y int, PRIMARY KEY (y, x)); CREATE VIEW v AS SELECT 1;
		CREATE TABLE noise (x int); CREATE TABLE events (source text, seq int, PRIMARY KEY (source, seq));
		CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
		INSERT INTO a VALUES (1), (2); INSERT INTO billing.claims VALUES ('a', 1), ('', 2); INSERT INTO events VALUES ('s', 1); INSERT INTO parts VALUES (5)`)
	embeddedtest.ExecClickHouse(t, ch, "CREATE TABLE "+database+".a (id Int32) ENGINE = Memory", "INSERT INTO "+database+".a VALUES (1), (2)",
		"CREATE TABLE "+database+".billing_claims (x String, y Int32) ENGINE = Memory", "INSERT INTO "+database+".billing_claims VALUES ('a', 1), ('', 2)",
		"CREATE TABLE "+database+".events (source String, seq Int32) ENGINE = Memory", "INSERT INTO "+database+".events VALUES ('s', 2)",
		"CREATE TABLE "+database+".parts (id Int32) ENGINE = Memory", "INSERT INTO "+database+".parts VALUES (5)")
	options := Options{Schemas: []string{"public", "billing"}, Skip: []string{"public.noise"}, Tables: map[string]Table{"public.events": {Expr: map[string]string{"seq": "seq + 1"}}}}
	report, err := CompareAll(t.Context(), url, stack.Get(t).ClickHouse.URL(), database, options)
	require.NoError(t, err)
	require.True(t, report.Equal(), report.String())
	rows := 0
	for _, diff := range report.Diffs {
		rows += diff.RowsPostgres
	}
	require.Equal(t, []int{4, 6}, []int{len(report.Diffs), rows})

	embeddedtest.ExecClickHouse(t, ch, "INSERT INTO "+database+".parts VALUES (6)")
	report, err = CompareAll(t.Context(), url, stack.Get(t).ClickHouse.URL(), database, options)
	require.NoError(t, err)
	require.False(t, report.Equal())
	require.Contains(t, report.String(), `extra id="6"`)

	_, err = CompareAll(t.Context(), url, stack.Get(t).ClickHouse.URL(), database, Options{Skip: []string{"public.nose"}})
	require.ErrorContains(t, err, "public.nose")
	require.False(t, Report{}.Equal(), "nothing compared is not equal")
}

// A million narrow rows compare in seconds, and one wrong cell among them is found.
func TestMillionRows(t *testing.T) {
	if testing.Short() {
		t.Skip("a million rows take too long for -short")
	}
	pg := postgres(t)
	ch, database := clickHouse(t)
	embeddedtest.ExecOn(t, pg, "CREATE TABLE m (id int8 PRIMARY KEY, v numeric(10,2), s text); INSERT INTO m SELECT i, i * 0.01, 's' || i FROM generate_series(1, 1000000::int8) i")
	embeddedtest.ExecClickHouse(t, ch, "CREATE TABLE "+database+".m (id Int64, v Nullable(Decimal(10, 2)), s Nullable(String), _inexact Map(String, String)) ENGINE = MergeTree ORDER BY id",
		"INSERT INTO "+database+".m SELECT number + 1, toDecimal64(number + 1 + if(number = 777777, 1, 0), 2) / 100, concat('s', toString(number + 1)), CAST(map() AS Map(String, String)) FROM numbers(1000000)")
	start := time.Now()
	diff, err := Compare(t.Context(), pg, ch, Table{Schema: "public", Name: "m", CHDatabase: database})
	require.NoError(t, err)
	t.Logf("compared %d rows in %v", diff.RowsPostgres, time.Since(start))
	require.Equal(t, []Sample{{Kind: Differing, Key: `id="777778"`, Column: "v", Postgres: `"7777.78"`, ClickHouse: `"7777.79"`}}, diff.Samples)
	require.Equal(t, 1, diff.Wrong[Differing])
	require.Equal(t, 1_000_000, diff.RowsClickHouse)
}
