package catalog

import "dirtbike/schemas"

// typeName is a type as pg_type describes it.
type typeName struct {
	oid     uint32
	name    string
	class   string // typtype: b base, e enum, c composite, r range, m multirange, d domain
	builtin bool
	// declared is format_type of an array's element.
	declared string
}

// builtinKinds maps the built-in types that have a kind of their own.
var builtinKinds = map[string]schemas.Kind{
	"bool": schemas.KindBool, "int2": schemas.KindInt2, "int4": schemas.KindInt4, "int8": schemas.KindInt8,
	"float4": schemas.KindFloat4, "float8": schemas.KindFloat8, "numeric": schemas.KindNumericText, "date": schemas.KindDate,
	"timestamp": schemas.KindTimestamp, "timestamptz": schemas.KindTimestampTZ, "uuid": schemas.KindUUID,
	"bytea": schemas.KindBytea, "text": schemas.KindText, "varchar": schemas.KindText, "bpchar": schemas.KindText,
	"name": schemas.KindText, "char": schemas.KindText, "json": schemas.KindJSON, "jsonb": schemas.KindJSONB,
}

// resolveType finds the kind of a column's type. base is the type beneath a domain, elem the element of an array.
func resolveType(declared uint32, mod int32, name string, base, elem typeName) schemas.Type {
	t := schemas.Type{OID: declared, Base: base.oid, Mod: mod, Name: name}
	if elem.oid == 0 {
		t.Kind = scalarKind(base)
		numericTypmod(&t)
		return t
	}
	e := schemas.Type{OID: elem.oid, Base: elem.oid, Mod: mod, Name: elem.declared, Kind: scalarKind(elem)}
	numericTypmod(&e)
	t.Kind, t.Elem = schemas.KindArray, &e
	if elem.class == "d" || e.Kind == schemas.KindOther {
		// an array of what has no kind of its own travels as Postgres' text, whole
		t.Kind, t.Elem = schemas.KindOther, nil
	}
	return t
}

func scalarKind(t typeName) schemas.Kind {
	if t.class == "e" {
		return schemas.KindEnum
	}
	if kind, ok := builtinKinds[t.name]; ok && t.builtin && t.class == "b" {
		return kind
	}
	return schemas.KindOther
}

// numericTypmod makes a numeric with a typmod that ClickHouse's Decimal can hold a KindNumeric: the typmod is
// ((precision << 16) | (scale & 0x7ff)) + 4, with the scale in eleven signed bits (utils/adt/numeric.c).
func numericTypmod(t *schemas.Type) {
	if t.Kind != schemas.KindNumericText || t.Mod < 4 {
		return
	}
	packed := t.Mod - 4
	precision, scale := int(packed>>16&0xffff), int(packed&0x7ff^1024)-1024
	if precision <= 76 && scale >= 0 && scale <= precision {
		t.Kind, t.Precision, t.Scale = schemas.KindNumeric, precision, scale
	}
}
