package verify

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc/privacy"
	"dirtbike/schemas"
)

// typeCases are values on both sides: Postgres' literal, ClickHouse's, and what is in _inexact ("" for nothing).
var typeCases = []struct {
	column, typ string
	values      [][3]string
}{
	{"b", "bool", [][3]string{{"'t'", "true", ""}, {"'f'", "false", ""}}},
	{"i2", "smallint", [][3]string{{"-32768", "-32768", ""}}},
	{"i8", "bigint", [][3]string{{"-9223372036854775808", "toInt64('-9223372036854775808')", ""}}},
	{"f4", "real", [][3]string{{"'0.1'", "toFloat32('0.1')", ""}, {"'-0'", "toFloat32('-0')", ""}, {"'1e-45'", "reinterpretAsFloat32(toUInt32(1))", ""}}},
	{"f8", "double precision", [][3]string{{"'1e300'", "1e300", ""}, {"'NaN'", "nan", ""}, {"'-Infinity'", "-inf", ""}, {"'5e-324'", "reinterpretAsFloat64(toUInt64(1))", ""}}},
	{"n", "numeric(20,4)", [][3]string{{"1.5", "'1.5'", ""}, {"-0.0001", "'-0.0001'", ""}, {"'NaN'", "NULL", "NaN"}}},
	{"n0", "numeric(76,0)", [][3]string{{"1" + strings.Repeat("0", 75), "'1" + strings.Repeat("0", 75) + "'", ""}}},
	{"nt", "numeric", [][3]string{{"1.50", "'1.50'", ""}, {"'Infinity'", "'Infinity'", ""}}},
	{"d", "date", [][3]string{
		{"'1900-01-01'", "'1900-01-01'", ""}, {"'2299-12-31'", "'2299-12-31'", ""}, {"'1969-12-31'", "'1969-12-31'", ""},
		{"'1899-12-31'", "'1900-01-01'", "1899-12-31"}, {"'infinity'", "'2299-12-31'", "infinity"}, {"'-infinity'", "'1900-01-01'", "-infinity"},
		{"'0044-03-15 BC'", "'1900-01-01'", "0044-03-15 BC"},
	}},
	{"ts", "timestamp", [][3]string{
		{"'2024-02-29 23:59:59.123456'", "'2024-02-29 23:59:59.123456'", ""}, {"'1900-01-01'", "'1900-01-01 00:00:00'", ""},
		{"'2299-12-31 23:59:59.999999'", "'2299-12-31 23:59:59.999999'", ""}, {"'2300-01-01'", "'2299-12-31 23:59:59.999999'", "2300-01-01 00:00:00"},
		{"'294276-12-31 23:59:59'", "'2299-12-31 23:59:59.999999'", "294276-12-31 23:59:59"},
	}},
	{"tz", "timestamptz", [][3]string{
		{"'2024-02-29 23:59:59.5-05'", "'2024-03-01 04:59:59.5'", ""}, {"'-infinity'", "'1900-01-01 00:00:00'", "-infinity"},
		{"'1800-01-01 00:00:00+00'", "'1900-01-01 00:00:00'", "1800-01-01 00:00:00+00"},
	}},
	{"u", "uuid", [][3]string{{"'C0FFEE00-0000-4000-8000-00000000000f'", "'c0ffee00-0000-4000-8000-00000000000f'", ""}}},
	{"y", "bytea", [][3]string{{`'\x00ff41'`, "unhex('00ff41')", ""}, {`'\x'`, "''", ""}}},
	{"s", "text", [][3]string{{"''", "''", ""}, {"'N'", "'N'", ""}, {"'zoë 5:x'", "'zoë 5:x'", ""}}},
	{"c", "char(5)", [][3]string{{"'ab'", "'ab   '", ""}}},
	{"q", `"char"`, [][3]string{{"'x'", "'x'", ""}}},
	{"j", "jsonb", [][3]string{{`'{"b":1,"a":[]}'`, `'{"a": [], "b": 1}'`, ""}}},
	{"e", "mood", [][3]string{{"'so so'", "'so so'", ""}}},
	{"ip", "inet", [][3]string{{"'10.0.0.1'", "'10.0.0.1'", ""}}},
	{"ai", "int[]", [][3]string{
		{"'{1,NULL,-3}'", "[1,NULL,-3]", ""}, {"'{}'", "[]", ""}, {"'{{1,2}}'", "[]", "{{1,2}}"}, {"'[0:1]={1,2}'", "[]", "[0:1]={1,2}"},
	}},
	{"at", "text[]", [][3]string{{`'{"a \"q\" \\ b","NULL",NULL,"",x}'`, `['a "q" \\ b','NULL',NULL,'','x']`, ""}}},
	{"ab", "bool[]", [][3]string{{"'{t,NULL,f}'", "[true,NULL,false]", ""}}},
	{"af", "float8[]", [][3]string{{"'{0.1,NaN,NULL}'", "[0.1,nan,NULL]", ""}}},
	{"an", "numeric(6,2)[]", [][3]string{{"'{1.5,NULL}'", "[1.5,NULL]", ""}, {"'{NaN}'", "[]", "{NaN}"}}},
	{"ad", "date[]", [][3]string{{"'{2024-01-01,1800-01-01,NULL}'", "['2024-01-01','1900-01-01',NULL]", "{2024-01-01,1800-01-01,NULL}"}, {"'{infinity}'", "[]", "{infinity}"}}},
	{"az", "timestamptz[]", [][3]string{{"'{1800-01-01 00:00:00+00}'", "['1900-01-01 00:00:00']", `{"1800-01-01 00:00:00+00"}`}}},
	{"ae", "mood[]", [][3]string{{`'{"so so"}'`, "['so so']", ""}}},
}

// TestEveryTypeIsComparedExactly holds each value against its own counterpart (equal) and against its neighbour's
// (different).
func TestEveryTypeIsComparedExactly(t *testing.T) {
	c := newClinic(t)
	c.source("CREATE TYPE mood AS ENUM ('so so', 'well')")
	rows := map[string]int64{}
	for _, tc := range typeCases {
		c.source("CREATE TABLE " + tc.column + " (id int PRIMARY KEY, v " + tc.typ + ")")
		rel := c.storage(tc.column)
		null := [3]string{"NULL", "NULL", ""}
		if rel.Columns[1].Type.Kind == schemas.KindArray {
			null = [3]string{"NULL", "[]", "NULL"}
		}
		var source, sink []string
		for i, v := range append(tc.values, null) {
			id := string(rune('1' + i))
			exact := ", map()"
			if v[2] != "" {
				exact = ", map('v', " + schemas.ClickHouseLiteral(v[2]) + ")"
			}
			if !schemas.AvroInexact(rel.Columns[1].Type) {
				exact = ""
			}
			source = append(source, "("+id+", "+v[0]+")")
			sink = append(sink, "("+id+", "+v[1]+exact+", "+version(100, 0)+", 0)")
		}
		rows["public."+tc.column] = int64(len(source))
		c.source("INSERT INTO " + tc.column + " VALUES " + strings.Join(source, ", "))
		c.sink("INSERT INTO DB_raw." + tc.column + "__g2 VALUES " + strings.Join(sink, ", "))
	}
	report, err := c.verify(func(o *Options) { o.ChunkRows = 100 })
	require.NoError(t, err)
	for _, got := range report.Tables {
		require.Equal(t, TableReport{Table: got.Table, RowsSource: rows[got.Table], RowsSink: rows[got.Table], Equal: true}, got)
	}
	require.True(t, report.Equal)

	for _, tc := range typeCases { // now every value is compared with the next one's
		c.source("UPDATE " + tc.column + " SET id = -id")
		c.source("UPDATE " + tc.column + " SET id = -id % (SELECT count(*) FROM " + tc.column + ") + 1")
	}
	report, err = c.verify(func(o *Options) { o.ChunkRows = 100 })
	require.NoError(t, err)
	for _, got := range report.Tables {
		require.Equal(t, rows[got.Table], got.DifferingKeys, got.Table)
	}
}

// policyRules name a policy by column.
type policyRules map[string]string

func (r policyRules) For(_, _, column string) (string, bool) { p, ok := r[column]; return p, ok }
func (r policyRules) Domain(_, _, column string) string      { return column }

func TestPoliciesAreComparedAfterThem(t *testing.T) {
	c := newClinic(t)
	c.policies = privacy.New(policyRules{"id": "keep", "name": "mask", "born": "year", "zip": "zip3", "ssn": "drop", "mrn": "hash", "seen": "year"},
		privacy.HashKeys{ID: "k1", Key: []byte("0123456789abcdef")})
	c.source("CREATE TABLE patients (id int PRIMARY KEY, name text, born date, zip text, ssn text, mrn int, seen date)")
	c.source("INSERT INTO patients VALUES (1, 'Ada', '1815-12-10', '02139', 'x', NULL, 'infinity'), (2, NULL, '2001-02-03', '03601', 'y', NULL, NULL)")
	c.storage("patients")
	c.view("patients", "SELECT id, name, if(isNull(s.born), s.born, greatest(s.born, toInt32(toYear(now('UTC')) - 90))) AS born, zip, mrn, seen, _inexact FROM DB_raw.patients__g2 AS s FINAL WHERE _deleted = 0")
	c.sink("INSERT INTO DB_raw.patients__g2 VALUES (1, '***', 1815, '021', NULL, NULL, map('seen', 'infinity'), " + version(100, 0) + ", 0), (2, NULL, 2001, '000', NULL, NULL, map(), " + version(100, 0) + ", 0)")
	report, err := c.verify()
	require.NoError(t, err)
	require.Equal(t, []TableReport{{Table: "public.patients", RowsSource: 2, RowsSink: 2, Equal: true}}, report.Tables)
	c.source("UPDATE patients SET born = '2002-01-01' WHERE id = 2")
	c.source("UPDATE patients SET ssn = 'z', name = 'Grace' WHERE id = 1") // nothing of it leaves Postgres
	report, err = c.verify()
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Tables[0].DifferingKeys)
}
