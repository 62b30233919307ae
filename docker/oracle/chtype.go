package oracle

import (
	"fmt"
	"strings"
)

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

// wanted names the ClickHouse type that rule 30 gives a Postgres type.
func (t pgType) wanted() string {
	switch t.kind {
	case kindBool:
		return "Bool"
	case kindInt2:
		return "Int16"
	case kindInt4:
		return "Int32"
	case kindInt8:
		return "Int64"
	case kindFloat4:
		return "Float32"
	case kindFloat8:
		return "Float64"
	case kindNumeric:
		return fmt.Sprintf("Decimal(%d, %d)", t.precision, t.scale)
	case kindDate:
		return "Date32"
	case kindTimestamp, kindTimestampTZ:
		return "DateTime64(6, 'UTC')"
	case kindUUID:
		return "UUID"
	case kindArray:
		return "Array"
	case kindBytea, kindOther:
		return "String"
	}
	panic("oracle: kind without a ClickHouse type: " + string(t.kind))
}

// fits reports whether a column of type c may hold t. An array whose elements have no type of their own here may be
// text.
func (t pgType) fits(c chType) bool {
	if t.kind == kindArray && c.elem != nil {
		return t.elem.fits(*c.elem)
	}
	if t.kind == kindArray {
		return t.elem.kind == kindOther && c.name == "String"
	}
	return c.name == t.wanted()
}

// wanted names the ClickHouse type that the column must have.
func (c pgColumn) wanted() string {
	if c.asString {
		return "String"
	}
	return c.typ.wanted()
}

// fits reports whether the view's type is the one that the column must have.
func (c pgColumn) fits(have chType) bool {
	if c.asString {
		return have.name == "String"
	}
	return c.typ.fits(have)
}
