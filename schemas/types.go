package schemas

import "fmt"

// TypeRow is one row of the type table: how a kind travels, and what is lost on the way.
type TypeRow struct {
	Kind     Kind
	Postgres string
	// Avro is the schema of a non-null value; ClickHouse the column type of a NOT NULL column. P and S stand for
	// precision and scale.
	Avro, ClickHouse string
	// Key says that the type may be part of a table key: equal values have equal encodings, and only they (rule 9).
	Key bool
	// Binary says that this module decodes Postgres' binary form; otherwise a captured table with such a column makes
	// the session run in text (rule 30).
	Binary bool
	// Inexact says that some value has no Avro form; Lossy which values the types cannot hold, and what is there
	// instead (rule 31), empty if they hold all.
	Inexact bool
	Lossy   string
}

// TypeTable is the one type table (rule 30). It is exhaustive over Kind; TYPES.md is generated from it.
var TypeTable = [...]TypeRow{
	{KindBool, "boolean", `"boolean"`, "Bool", true, true, false, ""},
	{KindInt2, "smallint", `"int"`, "Int16", true, true, false, ""},
	{KindInt4, "integer", `"int"`, "Int32", true, true, false, ""},
	{KindInt8, "bigint", `"long"`, "Int64", true, true, false, ""},
	{KindFloat4, "real", `"float"`, "Float32", false, true, false, ""},
	{KindFloat8, "double precision", `"double"`, "Float64", false, true, false, ""},
	{KindNumeric, "numeric(p,s), p ≤ 76, 0 ≤ s ≤ p", `bytes, decimal(P,S)`, "Decimal(P,S)", true, true, true,
		"NaN: Avro null, ClickHouse NULL, exact text in _inexact (refused in a key column)"},
	{KindNumericText, "any other numeric", `"string"`, "String", false, true, false, ""},
	{KindDate, "date", `int, date`, "Date32", true, true, true, "infinity: Avro null; infinity, before 1900-01-01 or after 2299-12-31: ClickHouse's bound; exact text in _inexact"},
	{KindTimestamp, "timestamp", `long, local-timestamp-micros`, "DateTime64(6,'UTC')", true, true, true,
		"infinity or past int64 microseconds: Avro null; infinity, before 1900 or after 2299: ClickHouse's bound; exact text in _inexact"},
	{KindTimestampTZ, "timestamptz", `long, timestamp-micros`, "DateTime64(6,'UTC')", true, true, true, "as timestamp"},
	{KindUUID, "uuid", `string, uuid`, "UUID", true, true, false, ""},
	{KindBytea, "bytea", `"bytes"`, "String", true, true, false, ""},
	{KindText, `text, varchar, char(n), name, "char"`, `"string"`, "String", true, true, false, ""},
	{KindJSON, "json", `"string"`, "String", false, true, false, ""},
	{KindJSONB, "jsonb", `"string"`, "String", false, true, false, ""},
	{KindEnum, "enum", `"string"`, "LowCardinality(String)", true, true, false, ""},
	{KindArray, "one-dimensional array of the above", `array of [null, element]`, "Array(Nullable(T))", false, true, true,
		"more than one dimension, a lower bound other than 1, or an element that is null in Avro for its own type: Avro null; " +
			"NULL and these: ClickHouse []; exact text of the whole array in _inexact ('NULL')"},
	{KindOther, "everything else", `"string"`, "String", false, false, false, ""},
	{KindYear, "(made by the policy year)", `"int"`, "Int32", false, true, true,
		"infinity: Avro null, ClickHouse NULL, exact text in _inexact; capped at 90 years before the change, and again before today when it is shown"},
}

// Row gives the type table's row of a kind; a kind without a row is a programming error and panics.
func Row(k Kind) TypeRow {
	for i := range TypeTable {
		if TypeTable[i].Kind == k {
			return TypeTable[i]
		}
	}
	panic("schemas: kind without a row in the type table: " + k.String())
}

// AvroInexact reports whether some value of the type has no Avro form (rule 31).
func AvroInexact(t Type) bool { return Row(t.Kind).Inexact }

// KeyInteger reports whether a key column of this type is an exact integer in the Kafka key and in ClickHouse's sorting
// key (days or microseconds since 2000-01-01, infinities as the extremes, as Postgres stores them; rule 31).
func KeyInteger(t Type) bool {
	return t.Kind == KindDate || t.Kind == KindTimestamp || t.Kind == KindTimestampTZ
}

// KeyRefusal says why a type cannot be part of a table key, "" if it can.
func KeyRefusal(t Type) string {
	if Row(t.Kind).Key {
		return ""
	}
	return fmt.Sprintf("type %s: equal values may have different encodings", t.Name)
}

// ClickHouseType gives the column type; nullable wraps it as ClickHouse allows (an array is never Nullable, rule 31).
func ClickHouseType(t Type, nullable bool) string {
	base := Row(t.Kind).ClickHouse
	switch {
	case t.Kind == KindNumeric:
		base = fmt.Sprintf("Decimal(%d,%d)", t.Precision, t.Scale)
	case t.Kind == KindArray:
		return "Array(" + ClickHouseType(*t.Elem, true) + ")"
	case t.Kind == KindEnum && nullable:
		return "LowCardinality(Nullable(String))"
	}
	if nullable {
		return "Nullable(" + base + ")"
	}
	return base
}

// DayMicros is a day in microseconds.
const DayMicros = 86_400_000_000

// The bounds of Date32 and DateTime64(6) that views keep to, though ClickHouse itself may take more (rule 31):
// 1900-01-01 up to the end of 2299, in days and microseconds since 1970-01-01 UTC.
const (
	MinDay   = -25_567
	MaxDay   = 120_529
	MinMicro = MinDay * DayMicros
	MaxMicro = (MaxDay+1)*DayMicros - 1
)
