package oracle

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// kind is a class of Postgres types whose text is canonicalised alike.
type kind string

// The kinds of rule 30. What is not named there is kindOther: Postgres' text.
const (
	kindBool        kind = "bool"
	kindInt2        kind = "int2"
	kindInt4        kind = "int4"
	kindInt8        kind = "int8"
	kindFloat4      kind = "float4"
	kindFloat8      kind = "float8"
	kindNumeric     kind = "numeric" // constrained so that a Decimal holds it
	kindDate        kind = "date"
	kindTimestamp   kind = "timestamp"
	kindTimestampTZ kind = "timestamptz"
	kindUUID        kind = "uuid"
	kindBytea       kind = "bytea"
	kindArray       kind = "array"
	kindOther       kind = "other" // text, json, enum, unconstrained numeric and everything else
)

// maxDecimal is the largest precision of a ClickHouse Decimal.
const maxDecimal = 76

// pgType is a Postgres type as far as its text needs it.
type pgType struct {
	kind      kind
	precision int     // digits of a kindNumeric
	scale     int     // digits after the point of a kindNumeric
	elem      *pgType // element of a kindArray
	delim     byte    // between the elements of a kindArray
}

// builtin maps the fixed OIDs of pg_type.dat to their kinds.
var builtin = map[uint32]kind{
	16: kindBool, 21: kindInt2, 23: kindInt4, 20: kindInt8, 700: kindFloat4, 701: kindFloat8,
	1082: kindDate, 1114: kindTimestamp, 1184: kindTimestampTZ, 2950: kindUUID, 17: kindBytea,
}

// numericOID is numeric's fixed OID.
const numericOID = 1700

// resolveType looks a type up in the catalog, through domains and arrays.
func resolveType(ctx context.Context, pg *pgx.Conn, oid uint32, typmod int32) (pgType, error) {
	if k, ok := builtin[oid]; ok {
		return pgType{kind: k}, nil
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
		return pgType{}, fmt.Errorf("look up type %d: %w", oid, err)
	}
	switch {
	case base != 0:
		return resolveType(ctx, pg, base, baseMod)
	case elem != 0:
		e, err := resolveType(ctx, pg, elem, typmod)
		return pgType{kind: kindArray, elem: &e, delim: delim[0]}, err
	}
	return pgType{kind: kindOther}, nil
}

// numericType reads numeric's typmod: precision in the high half, scale in the low 11 bits, signed since Postgres 15.
func numericType(typmod int32) pgType {
	if typmod < 4 {
		return pgType{kind: kindOther}
	}
	packed := typmod - 4
	precision, scale := int(packed>>16&0xffff), int((packed&0x7ff)^1024)-1024
	if precision > maxDecimal || scale < 0 || scale > precision {
		return pgType{kind: kindOther}
	}
	return pgType{kind: kindNumeric, precision: precision, scale: scale}
}
