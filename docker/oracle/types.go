package oracle

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pgType is a Postgres type as far as the texts of its values need it.
type pgType struct {
	want  string                            // ClickHouse's type (rule 30)
	cell  func(text string) (cell, error)   // what a column of that type must show; nil: the text
	key   func(text string) (string, error) // the text in topics' keys; nil: the text
	elem  *pgType                           // of an array
	delim byte                              // between the elements of an array
}

// textType is every type that is shown as Postgres' text: text, json, enum, unconstrained numeric and all that rule 30
// does not name.
var textType = pgType{want: "String"}

// timeType is a timestamp, with or without time zone.
var timeType = pgType{want: "DateTime64(6, 'UTC')", cell: timestampCell, key: microseconds}

// builtin has the fixed OIDs of pg_type.dat.
var builtin = map[uint32]pgType{
	16: {want: "Bool", cell: boolCell}, 21: {want: "Int16"}, 23: {want: "Int32"}, 20: {want: "Int64"},
	700:  {want: "Float32", cell: plainCell(float32Text), key: float32Text},
	701:  {want: "Float64", cell: plainCell(float64Text), key: float64Text},
	1082: {want: "Date32", cell: dateCell, key: days},
	1114: timeType, 1184: timeType,
	2950: {want: "UUID"},
	17:   {want: "String", cell: plainCell(byteaBytes), key: byteaBytes},
}

// numericOID is numeric's fixed OID.
const numericOID = 1700

// maxDecimal is the largest precision of a ClickHouse Decimal.
const maxDecimal = 76

// resolveType looks a type up in the catalog, through domains and arrays.
func resolveType(ctx context.Context, pg *pgx.Conn, oid uint32, typmod int32) (pgType, error) {
	if t, ok := builtin[oid]; ok {
		return t, nil
	}
	if oid == numericOID {
		return numericType(typmod), nil
	}
	var base, elem uint32
	var baseMod int32
	var delim string
	err := pg.QueryRow(ctx, `SELECT t.typbasetype, t.typtypmod,
		CASE WHEN t.typoutput = 'array_out'::regproc THEN t.typelem ELSE 0 END, coalesce(e.typdelim, ',')::text
		FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = $1`, oid).Scan(&base, &baseMod, &elem, &delim)
	if err != nil {
		return pgType{}, fmt.Errorf("find type %d: %w", oid, err)
	}
	switch {
	case base != 0:
		return resolveType(ctx, pg, base, baseMod)
	case elem != 0:
		e, err := resolveType(ctx, pg, elem, typmod)
		return pgType{want: "Array", elem: &e, delim: delim[0]}, err
	}
	return textType, nil
}

// numericType reads numeric's typmod: precision in the high half, scale in the low 11 bits, signed since Postgres 15.
func numericType(typmod int32) pgType {
	if typmod < 4 {
		return textType
	}
	packed := typmod - 4
	precision, scale := packed>>16&0xffff, (packed&0x7ff)^1024-1024
	if precision > maxDecimal || scale < 0 || scale > precision {
		return textType
	}
	return pgType{want: fmt.Sprintf("Decimal(%d, %d)", precision, scale), cell: decimalCell}
}

// keyText is the canonical text of a key column, from Postgres' text.
func (t pgType) keyText(text string) (string, error) {
	if t.key == nil {
		return text, nil
	}
	return t.key(text)
}

// fits reports whether a column of type c may hold t. An array whose elements have no type of their own here may be
// text.
func (t pgType) fits(c chType) bool {
	switch {
	case t.elem == nil:
		return c.name == t.want
	case c.elem == nil:
		return c.name == "String" && t.elem.want == "String" && t.elem.cell == nil
	}
	return t.elem.fits(*c.elem)
}

// chType is a ClickHouse column type without Nullable and LowCardinality.
type chType struct {
	name string  // "Decimal(10, 2)"
	elem *chType // element of an Array, otherwise nil
}

// parseCHType reads a type name as system.columns prints it.
func parseCHType(name string) chType {
	for _, wrapper := range []string{"LowCardinality(", "Nullable("} {
		if inner, ok := strings.CutPrefix(name, wrapper); ok {
			return parseCHType(strings.TrimSuffix(inner, ")"))
		}
	}
	if inner, ok := strings.CutPrefix(name, "Array("); ok {
		elem := parseCHType(strings.TrimSuffix(inner, ")"))
		return chType{name: "Array", elem: &elem}
	}
	return chType{name: name}
}

// mayBeInexact reports whether `_inexact` may have a value of the type (rule 31).
func (c chType) mayBeInexact() bool {
	return c.elem != nil || c.name == "Date32" || strings.HasPrefix(c.name, "DateTime64(") || strings.HasPrefix(c.name, "Decimal(")
}
