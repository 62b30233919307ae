package pgtext

import (
	"strings"

	"dirtbike/schemas"
)

// sample is a type with values worth looking at. sql is the type's SQL name, elem the element's kind of an array.
type sample struct {
	sql      string
	kind     schemas.Kind
	elem     schemas.Kind
	literals []string
}

func (s sample) typ() schemas.Type {
	t := schemas.Type{Kind: s.kind, Name: s.sql}
	if s.sql == `"char"` {
		t.OID, t.Base = charOID, charOID
	}
	if s.kind == schemas.KindArray {
		t.Elem = &schemas.Type{Kind: s.elem, Name: strings.TrimSuffix(s.sql, "[]")}
	}
	return t
}

// enumDDL makes the enum that samples use.
const enumDDL = `CREATE TYPE mood AS ENUM ('ok', 'so so', 'very "bad", {really}', 'NULL')`

const timestamps = `2000-01-01 00:00:00|1970-01-01 00:00:00|1969-12-31 23:59:59.999999|2024-02-29 12:34:56.7|2024-02-29 12:34:56.000001|
2024-02-29 12:34:56.100000|1900-01-01 00:00:00|1899-12-31 23:59:59.999999|2299-12-31 23:59:59.999999|2300-01-01 00:00:00|9999-12-31 23:59:59.999999|
10000-01-01 00:00:00|294276-12-31 23:59:59.999999|294247-01-10 04:00:54.775807|294247-01-10 04:00:54.775808|0001-01-01 00:00:00|
0001-12-31 23:59:59.5 BC|4713-11-24 00:00:00 BC|0044-03-15 01:02:03.000004 BC|infinity|-infinity|1582-10-15 00:00:00|2038-01-19 03:14:08`

// samples has every kind with a binary form.
var samples = []sample{
	{"bool", schemas.KindBool, 0, []string{"t", "f"}},
	{"int2", schemas.KindInt2, 0, []string{"0", "1", "-1", "32767", "-32768"}},
	{"int4", schemas.KindInt4, 0, []string{"0", "63", "64", "-64", "-65", "2147483647", "-2147483648"}},
	{"int8", schemas.KindInt8, 0, []string{"0", "42", "-42", "9223372036854775807", "-9223372036854775808"}},
	{"float4", schemas.KindFloat4, 0, strings.Fields(`0 -0 1 -1 0.1 1.5 100000 999999 1000000 1234567 16777216 16777217 33554432 1e-4 1e-5 0.00012345
		1e10 3.4028235e38 1.1754944e-38 1e-45 1.4e-45 8388608 8388609 2.44140625e-4 NaN Infinity -Infinity 9.99999e5 2.3841858e-7`)},
	{"float8", schemas.KindFloat8, 0, strings.Fields(`0 -0 1 -1 0.1 0.3 1.5 100 123456789012345 1234567890123456 999999999999999 1e15 1e14 1e16 1e-4 1e-5
		0.00012345678901234567 1e20 1e22 1e23 9e23 1e100 1e-100 1.7976931348623157e308 2.2250738585072014e-308 4.9e-324 9007199254740991 9007199254740992
		9007199254740993 9007199254740994 9.5367431640625e-07 5.764607523034235e39 2.98023223876953125e-8 1.152921504606847e40 NaN Infinity -Infinity
		4.35 2.2204460492503131e-16 18014398509481984 36028797018963968 144115188075855872 1e21 2.44140625e-4 4.8828125e-4`)},
	{"numeric(12,2)", schemas.KindNumeric, 0, strings.Fields(`0 0.00 0.01 -0.01 1 -1 0.1 9999 10000 10000.10 9999999999.99 -9999999999.99 1234.5 100000000 NaN 0.99`)},
	{"numeric(4,4)", schemas.KindNumeric, 0, strings.Fields(`0 0.0001 -0.9999 0.1 0.01 NaN`)},
	{"numeric(18,0)", schemas.KindNumeric, 0, strings.Fields(`0 999999999999999999 -999999999999999999 1 10 100 1000 10000 100000 NaN`)},
	{"numeric(19,0)", schemas.KindNumeric, 0, strings.Fields(`9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 9999999999999999999 -9999999999999999999 128 -128 127 -129 255 256`)},
	{"numeric(38,10)", schemas.KindNumeric, 0, strings.Fields(`0 1 -1 9999999999999999999999999999.9999999999 -9999999999999999999999999999.9999999999 0.0000000001 123456789.0123456789 1e27`)},
	{"numeric(76,38)", schemas.KindNumeric, 0, []string{"0", "1", "-1", strings.Repeat("9", 38) + "." + strings.Repeat("9", 38), "-" + strings.Repeat("9", 38) + "." + strings.Repeat("9", 38), "1e-38", "-1e-38", "1e37", "NaN"}},
	{"numeric(76,0)", schemas.KindNumeric, 0, []string{strings.Repeat("9", 76), "-" + strings.Repeat("9", 76), "1e75", "-57896044618658097711785492504343953926634992332820282019728792003956564819968"[:77]}},
	{"numeric(7,3)", schemas.KindNumeric, 0, strings.Fields(`1.001 1.01 1.1 10.123 9999.999 0.001 0.010`)},
	{"numeric", schemas.KindNumericText, 0, strings.Fields(`0 0.0 0.00000 1 -1 1.10 10000 1e30 1e-30 12345678901234567890.123456789 NaN Infinity -Infinity 0.00010000 100.00 1e400 1e-400 -0.00001`)},
	{"numeric(3,-2)", schemas.KindNumericText, 0, strings.Fields(`100 99900 -1200 0`)},
	{"date", schemas.KindDate, 0, strings.Split("2000-01-01|1970-01-01|1969-12-31|2024-02-29|1900-01-01|1899-12-31|2299-12-31|2300-01-01|9999-12-31|10000-01-01|5874897-12-31|0001-01-01|0001-12-31 BC|0044-03-15 BC|4713-11-24 BC|infinity|-infinity|1600-02-29|2100-03-01", "|")},
	{"timestamp", schemas.KindTimestamp, 0, strings.Split(strings.ReplaceAll(timestamps, "\n", ""), "|")},
	{"timestamptz", schemas.KindTimestampTZ, 0, append(strings.Split(strings.ReplaceAll(timestamps, "\n", ""), "|"), "2024-07-01 12:00:00+05:30", "2024-07-01 00:30:00-11", "1880-01-01 00:00:00 Europe/Amsterdam")},
	{"timestamp(0)", schemas.KindTimestamp, 0, []string{"2024-02-29 12:34:56.7"}},
	{"uuid", schemas.KindUUID, 0, []string{"00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}},
	{"bytea", schemas.KindBytea, 0, []string{"", `\x00`, `\xdeadBEEF`, "abc", `\x` + strings.Repeat("5c22", 70)}},
	{"text", schemas.KindText, 0, []string{"", "a", "NULL", "ünïcödé \U0001F6B2", `back\slash "quote"`, "line\nbreak\ttab", strings.Repeat("long ", 100)}},
	{"varchar(5)", schemas.KindText, 0, []string{"", "abc", "abcde"}},
	{"char(4)", schemas.KindText, 0, []string{"", "a", "abcd", "é"}},
	{"name", schemas.KindText, 0, []string{"", "pg_class"}},
	{`"char"`, schemas.KindText, 0, []string{"", "a", `"`, "é", `\377`, `\001`}},
	{"json", schemas.KindJSON, 0, []string{`{"b": 1,  "a": [1, 2, null]}`, `"x"`, "null", " 1.50 "}},
	{"jsonb", schemas.KindJSONB, 0, []string{`{"b": 1,  "a": [1, 2, null], "b": 1e3}`, `"xé"`, "null", " 1.50 ", "{}", "[]"}},
	{"mood", schemas.KindEnum, 0, []string{"ok", "so so", `very "bad", {really}`, "NULL"}},
	{"int4[]", schemas.KindArray, schemas.KindInt4, []string{"{}", "{1}", "{1,NULL,-3}", "{NULL}", "[0:2]={1,2,3}", "[-1:-1]={7}", "{{1,2},{3,NULL}}", "[1:2][0:0]={{1},{2}}", "{{{1}},{{2}}}", "[2:3]={1,2}"}},
	{"int8[]", schemas.KindArray, schemas.KindInt8, []string{"{9223372036854775807,-9223372036854775808}"}},
	{"int2[]", schemas.KindArray, schemas.KindInt2, []string{"{1,2}"}},
	{"bool[]", schemas.KindArray, schemas.KindBool, []string{"{t,f,NULL}"}},
	{"text[]", schemas.KindArray, schemas.KindText, []string{`{}`, `{""}`, `{a,b}`, `{NULL,"NULL","null","nUlL",NULLX}`, `{"a b","a,b","a\"b","a\\b","{","}","\\\"\\"}`, "{\"a\nb\",\"\t\",\"\v\",\"é\",\" \"}", `{{a,b},{"",NULL}}`, `{"\\"}`, `{"\"\"\"\""}`}},
	{`"char"[]`, schemas.KindArray, schemas.KindText, []string{`{a,b}`}},
	{"varchar(9)[]", schemas.KindArray, schemas.KindText, []string{`{a,"b c"}`}},
	{"float8[]", schemas.KindArray, schemas.KindFloat8, []string{"{1,NaN,-Infinity,1e23,NULL,-0}"}},
	{"float4[]", schemas.KindArray, schemas.KindFloat4, []string{"{1.1,NaN,1e20}"}},
	{"numeric[]", schemas.KindArray, schemas.KindNumericText, []string{"{1.10,NaN,1e20,NULL}"}},
	{"numeric(6,2)[]", schemas.KindArray, schemas.KindNumeric, []string{"{1.10,9999.99,NULL,-0.01}", "{1,NaN}"}},
	{"date[]", schemas.KindArray, schemas.KindDate, []string{`{2024-02-29,NULL}`, `{2024-02-29,infinity}`, `{"0044-03-15 BC"}`}},
	{"timestamp[]", schemas.KindArray, schemas.KindTimestamp, []string{`{"2024-02-29 12:00:00",NULL}`, `{-infinity}`}},
	{"timestamptz[]", schemas.KindArray, schemas.KindTimestampTZ, []string{`{"2024-02-29 12:00:00.5+00",NULL}`, `{"294276-12-31 23:59:59.999999+00"}`}},
	{"uuid[]", schemas.KindArray, schemas.KindUUID, []string{`{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}`}},
	{"bytea[]", schemas.KindArray, schemas.KindBytea, []string{`{"\\x00ff","",NULL}`}},
	{"json[]", schemas.KindArray, schemas.KindJSON, []string{`{"{\"a\": 1}",null,"[1,2]"}`}},
	{"jsonb[]", schemas.KindArray, schemas.KindJSONB, []string{`{"{\"a\":1}",NULL,1}`}},
	{"mood[]", schemas.KindArray, schemas.KindEnum, []string{`{ok,"so so","NULL",NULL,"very \"bad\", {really}"}`}},
}
