package clickhouse

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

func decimalType(p, s int) schemas.Type {
	return schemas.Type{Kind: schemas.KindNumeric, Name: "numeric", Precision: p, Scale: s}
}

func arrayOf(elem schemas.Type) schemas.Type {
	return schemas.Type{Kind: schemas.KindArray, Name: elem.Name + "[]", Elem: &elem}
}

func plain(kind schemas.Kind) schemas.Type { return schemas.Type{Kind: kind, Name: kind.String()} }

// TestTypes loads each kind with its edges, in a nullable and in a NOT NULL column, and reads it back with its exact
// text.
func TestTypes(t *testing.T) {
	cases := []struct {
		name   string
		kind   schemas.Type
		values [][3]string // Postgres' text, ClickHouse's text, text in _inexact
	}{
		{"b", plain(schemas.KindBool), [][3]string{{"t", "true"}, {"f", "false"}}},
		{"i2", plain(schemas.KindInt2), [][3]string{{"-32768", "-32768"}, {"32767", "32767"}}},
		{"i4", plain(schemas.KindInt4), [][3]string{{"-2147483648", "-2147483648"}, {"0", "0"}}},
		{"i8", plain(schemas.KindInt8), [][3]string{{"-9223372036854775808", "-9223372036854775808"}, {"9223372036854775807", "9223372036854775807"}}},
		{"f4", plain(schemas.KindFloat4), [][3]string{{"1.5", "1.5"}, {"NaN", "nan"}, {"-Infinity", "-inf"}}},
		{"f8", plain(schemas.KindFloat8), [][3]string{{"0.1", "0.1"}, {"Infinity", "inf"}}},
		{"d9", decimalType(9, 2), [][3]string{{"-1234567.89", "-1234567.89"}, {"0.00", "0"}}},
		{"d18", decimalType(18, 0), [][3]string{{"-999999999999999999", "-999999999999999999"}, {"1", "1"}}},
		{"d38", decimalType(38, 10), [][3]string{{"1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"}, {"-0.0000000001", "-0.0000000001"}}},
		{"d76", decimalType(76, 6), [][3]string{{"-1234567890123456789012345678901234567890123456789012345678901234567890.123456", "-1234567890123456789012345678901234567890123456789012345678901234567890.123456"}}},
		{"nt", plain(schemas.KindNumericText), [][3]string{{"1e400", "1e400"}}},
		{"da", plain(schemas.KindDate), [][3]string{
			{"2024-02-29", "2024-02-29"}, {"1900-01-01", "1900-01-01"}, {"2299-12-31", "2299-12-31"},
			{"1899-12-31", "1900-01-01", "1899-12-31"}, {"9999-12-31", "2299-12-31", "9999-12-31"}, {"0044-03-15 BC", "1900-01-01", "0044-03-15 BC"},
			{"10000-01-01", "2299-12-31", "10000-01-01"}, {"infinity", "2299-12-31", "infinity"}, {"-infinity", "1900-01-01", "-infinity"},
		}},
		{"ts", plain(schemas.KindTimestamp), [][3]string{
			{"2024-02-29 12:34:56.000001", "2024-02-29 12:34:56.000001"}, {"2299-12-31 23:59:59.999999", "2299-12-31 23:59:59.999999"},
			{"2262-04-12 00:00:00", "2262-04-12 00:00:00.000000"},
			{"1899-12-31 23:59:59.999999", "1900-01-01 00:00:00.000000", "1899-12-31 23:59:59.999999"}, {"2300-01-01 00:00:00", "2299-12-31 23:59:59.999999", "2300-01-01 00:00:00"},
			{"0001-01-01 00:00:00 BC", "1900-01-01 00:00:00.000000", "0001-01-01 00:00:00 BC"}, {"infinity", "2299-12-31 23:59:59.999999", "infinity"},
		}},
		{"tz", plain(schemas.KindTimestampTZ), [][3]string{
			{"2024-02-29 12:34:56.5+00", "2024-02-29 12:34:56.500000"}, {"9999-12-31 00:00:00+00", "2299-12-31 23:59:59.999999", "9999-12-31 00:00:00+00"},
			{"0044-03-15 00:00:00.25+00 BC", "1900-01-01 00:00:00.000000", "0044-03-15 00:00:00.25+00 BC"}, {"-infinity", "1900-01-01 00:00:00.000000", "-infinity"},
		}},
		{"u", plain(schemas.KindUUID), [][3]string{{"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}}},
		{"by", plain(schemas.KindBytea), [][3]string{{`\x00ff41`, "\\0\xffA"}, {`\x`, ""}}},
		{"tx", plain(schemas.KindText), [][3]string{{"Grüße 🚲", "Grüße 🚲"}, {"", ""}}},
		{"j", plain(schemas.KindJSON), [][3]string{{`{"a": 1}`, `{"a": 1}`}}},
		{"jb", plain(schemas.KindJSONB), [][3]string{{`{"a": 1}`, `{"a": 1}`}}},
		{"e", plain(schemas.KindEnum), [][3]string{{"paid", "paid"}, {"denied", "denied"}}},
		{"ai", arrayOf(plain(schemas.KindInt4)), [][3]string{{"{1,NULL,-3}", "[1,NULL,-3]"}, {"{}", "[]"}}},
		{"at", arrayOf(plain(schemas.KindText)), [][3]string{{`{"a b",NULL,""}`, "['a b',NULL,'']"}, {"{{a},{b}}", "[]", "{{a},{b}}"}}},
		{"ae", arrayOf(plain(schemas.KindEnum)), [][3]string{{`{paid,NULL}`, "['paid',NULL]"}}},
		{"ad", arrayOf(plain(schemas.KindDate)), [][3]string{{`{2024-01-02,9999-12-31,NULL,"0044-03-15 BC"}`, "['2024-01-02','2299-12-31',NULL,'1900-01-01']", `{2024-01-02,9999-12-31,NULL,"0044-03-15 BC"}`}, {"{2024-01-02}", "['2024-01-02']"}}},
		{"an", arrayOf(decimalType(12, 2)), [][3]string{{"{1.50,NULL}", "[1.5,NULL]"}}},
		{"o", plain(schemas.KindOther), [][3]string{{"(1,2)", "(1,2)"}}},
	}
	w := newWorld(t)
	columns := []schemas.Column{plainColumn("id", schemas.KindInt4, true)}
	widest := 0
	for _, c := range cases {
		columns = append(columns, schemas.Column{Name: c.name, Type: c.kind, NotNull: true}, schemas.Column{Name: c.name + "_null", Type: c.kind})
		widest = max(widest, len(c.values))
	}
	tab := w.table("types", 2, cdc.IdentityFull, []int{0}, columns...).live()
	x := w.begin()
	for i := range widest {
		row := []string{string(rune('0' + i))}
		for _, c := range cases {
			v := c.values[i%len(c.values)][0]
			if second := v; i%2 == 1 {
				second = `\N`
				row = append(row, v, second)
			} else {
				row = append(row, v, second)
			}
		}
		x.insert(tab, row...)
	}
	x.commit()
	l := w.load()
	w.wait()
	require.Zero(t, testutil.ToFloat64(l.metrics.quarantined))
	for _, c := range cases {
		for i := range widest {
			v := c.values[i%len(c.values)]
			id := string(rune('0' + i))
			got := w.query("SELECT " + c.name + ", _inexact['" + c.name + "'] FROM DB.types WHERE id = " + id)
			require.Equal(t, []string{v[1] + "\t" + v[2]}, got, "%s %q", c.name, v[0])
			want := v[1] + "\t" + v[2]
			if i%2 == 1 && c.kind.Kind == schemas.KindArray {
				want = "[]\tNULL"
			} else if i%2 == 1 {
				want = "\\N\t"
			}
			got = w.query("SELECT " + c.name + "_null, _inexact['" + c.name + "_null'] FROM DB.types WHERE id = " + id)
			require.Equal(t, []string{want}, got, "%s_null %q", c.name, v[0])
		}
	}
	require.Equal(t, []string{"LowCardinality(Nullable(String))"}, w.query("SELECT toTypeName(e_null) FROM DB.types LIMIT 1"))
}

// TestNullWidens: a NULL in a NOT NULL column is kept, and NaN in numeric(p,s) is NULL, widens the column, and stands
// in _inexact.
func TestNullWidens(t *testing.T) {
	w := newWorld(t)
	tab := w.table("amounts", 2, cdc.IdentityFull, []int{0},
		plainColumn("id", schemas.KindInt4, true), schemas.Column{Name: "amount", Type: decimalType(12, 2), NotNull: true},
		plainColumn("note", schemas.KindText, true), plainColumn("status", schemas.KindEnum, true)).live()
	w.begin().insert(tab, "1", "1.25", "a", "paid").commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"Decimal(12, 2)\tString\tLowCardinality(String)"}, w.query("SELECT toTypeName(amount), toTypeName(note), toTypeName(status) FROM DB.amounts"))
	w.begin().insert(tab, "2", "NaN", `\N`, `\N`).commit()
	w.begin().update(tab, "1", "7.00", "b", "denied").delete(tab, "3", `\N`, `\N`, `\N`).commit()
	w.wait()
	require.Equal(t, []string{"1\t7\tb\tdenied\t{}", "2\t\\N\t\\N\t\\N\t{'amount':'NaN'}"}, w.query("SELECT * FROM DB.amounts ORDER BY id"))
	require.True(t, w.complete("").Exact)
}

// TestKeys: dates and timestamps as keys are exact integers in the sorting key; other kinds are themselves (rule 31).
func TestKeys(t *testing.T) {
	w := newWorld(t)
	tab := w.table("keyed", 3, cdc.IdentityDefault, []int{2, 0, 1, 3},
		plainColumn("day", schemas.KindDate, true), plainColumn("at", schemas.KindTimestampTZ, true), plainColumn("u", schemas.KindUUID, true),
		schemas.Column{Name: "n", Type: decimalType(20, 2), NotNull: true}, plainColumn("v", schemas.KindInt4, false)).live()
	const u = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	rows := [][]string{
		{"infinity", "9999-12-31 00:00:00+00", u, "1.50", "1"}, {"9999-12-31", "infinity", u, "1.50", "2"},
		{"2300-01-01", "-infinity", u, "1.50", "3"}, {"-infinity", "0044-03-15 00:00:00+00 BC", u, "-1.50", "4"}, {"2024-05-06", "2024-05-06 07:08:09.5+00", u, "1.50", "5"},
	}
	x := w.begin()
	for _, r := range rows {
		x.insert(tab, r...)
	}
	x.commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, w.query("SELECT v FROM DB.keyed ORDER BY v"))
	require.Equal(t, []string{"infinity"}, w.query("SELECT _inexact['day'] FROM DB.keyed WHERE v = 1"))
	require.Equal(t, []string{"2147483647"}, w.query("SELECT _key_day FROM "+schemas.ClickHouseIdent(w.database+"_raw")+".keyed__g1 WHERE v = 1"))
	x = w.begin()
	for _, r := range rows[:4] {
		x.delete(tab, append(append([]string{}, r[:4]...), `\N`)...)
	}
	x.commit()
	w.wait()
	require.Equal(t, []string{"2024-05-06\t2024-05-06 07:08:09.500000\t" + u + "\t1.5\t5\t{}"}, w.query("SELECT * FROM DB.keyed"))
}

// TestYearCap: a year of birth that gives away an age over 89 is shown capped, also one that was captured years ago,
// when it gave nothing away; NULL stays NULL (rule 29).
func TestYearCap(t *testing.T) {
	w := newWorld(t)
	rel := &schemas.Relation{OID: 1, Schema: "public", Name: "people", Database: "test", Identity: cdc.IdentityFull, Key: []int{0},
		Columns: []schemas.Column{plainColumn("id", schemas.KindInt4, true), plainColumn("born", schemas.KindDate, false)}}
	tab := w.tableOf(rel, 1, yearPolicy{}).live()
	w.begin().insert(tab, "1", "1900-01-01").insert(tab, "2", "2001-02-03").insert(tab, "3", `\N`).commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"1", "1", "\\N"}, w.query("SELECT if(id = 1, born = toYear(now('UTC')) - 90, born = 2001) FROM DB.people ORDER BY id"))
}

type yearPolicy struct{}

func (yearPolicy) For(_ *schemas.Relation, column int) (schemas.Transform, bool, error) {
	if column == 1 {
		return yearTransform{}, true, nil
	}
	return nil, true, nil
}

type yearTransform struct{}

func (yearTransform) Policy() string       { return "year" }
func (yearTransform) Output() schemas.Type { return plain(schemas.KindYear) }
func (yearTransform) Print() string        { return "year" }
func (yearTransform) Apply(dst, text []byte, _ int64) ([]byte, error) {
	return append(dst, text[:4]...), nil
}
