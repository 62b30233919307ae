package schemas

import (
	"fmt"
)

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
	// Lossy says which values the type cannot hold, and what is there instead (rule 31); empty if it holds all.
	Lossy string
}

// TypeTable is the one type table (rule 30). It is exhaustive over Kind; TYPES.md is generated from it.
var TypeTable = [...]TypeRow{
	{KindBool, "boolean", `"boolean"`, "Bool", true, true, ""},
	{KindInt2, "smallint", `"int"`, "Int16", true, true, ""},
	{KindInt4, "integer", `"int"`, "Int32", true, true, ""},
	{KindInt8, "bigint", `"long"`, "Int64", true, true, ""},
	{KindFloat4, "real", `"float"`, "Float32", false, true, ""},
	{KindFloat8, "double precision", `"double"`, "Float64", false, true, ""},
	{KindNumeric, "numeric(p,s), p ≤ 76, 0 ≤ s ≤ p", `bytes, decimal(P,S)`, "Decimal(P,S)", true, true, "NaN: Avro null, ClickHouse NULL, exact text in _inexact (refused in a key column)"},
	{KindNumericText, "any other numeric", `"string"`, "String", false, true, ""},
	{KindDate, "date", `int, date`, "Date32", true, true, "infinity: Avro null; infinity, before 1900-01-01 or after 2299-12-31: ClickHouse's bound; exact text in _inexact"},
	{KindTimestamp, "timestamp", `long, local-timestamp-micros`, "DateTime64(6,'UTC')", true, true, "infinity or past int64 microseconds: Avro null; infinity, before 1900 or after 2299: ClickHouse's bound; exact text in _inexact"},
	{KindTimestampTZ, "timestamptz", `long, timestamp-micros`, "DateTime64(6,'UTC')", true, true, "as timestamp"},
	{KindUUID, "uuid", `string, uuid`, "UUID", true, true, ""},
	{KindBytea, "bytea", `"bytes"`, "String", true, true, ""},
	{KindText, `text, varchar, char(n), name, "char"`, `"string"`, "String", true, true, ""},
	{KindJSON, "json", `"string"`, "String", false, true, ""},
	{KindJSONB, "jsonb", `"string"`, "String", false, true, ""},
	{KindEnum, "enum", `"string"`, "LowCardinality(String)", true, true, ""},
	{KindArray, "one-dimensional array of the above", `array of [null, element]`, "Array(Nullable(T))", false, true, "more than one dimension, a lower bound other than 1, or an element that is null in Avro for its own type: Avro null; NULL and these: ClickHouse []; exact text of the whole array in _inexact ('NULL')"},
	{KindOther, "everything else", `"string"`, "String", false, false, ""},
	{KindYear, "(made by the policy year)", `"int"`, "Int32", false, true, "infinity: Avro null, ClickHouse NULL, exact text in _inexact; shown capped at 90 years before today"},
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
func AvroInexact(t Type) bool {
	switch t.Kind {
	case KindNumeric, KindDate, KindTimestamp, KindTimestampTZ, KindArray, KindYear:
		return true
	case KindBool, KindInt2, KindInt4, KindInt8, KindFloat4, KindFloat8, KindNumericText, KindUUID, KindBytea, KindText,
		KindJSON, KindJSONB, KindEnum, KindOther:
		return false
	case KindInvalid:
	}
	panic("schemas: inexactness of " + t.Kind.String())
}

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
	switch t.Kind {
	case KindNumeric:
		base = fmt.Sprintf("Decimal(%d,%d)", t.Precision, t.Scale)
	case KindArray:
		return "Array(" + ClickHouseType(*t.Elem, true) + ")"
	case KindEnum:
		if nullable {
			return "LowCardinality(Nullable(String))"
		}
	case KindBool, KindInt2, KindInt4, KindInt8, KindFloat4, KindFloat8, KindNumericText, KindDate, KindTimestamp,
		KindTimestampTZ, KindUUID, KindBytea, KindText, KindJSON, KindJSONB, KindOther, KindYear:
	case KindInvalid:
		panic("schemas: ClickHouse type of " + t.Kind.String())
	}
	if nullable {
		return "Nullable(" + base + ")"
	}
	return base
}
