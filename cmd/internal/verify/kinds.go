package verify

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// kind is how the values of a schemas.Kind are compared.
type kind struct {
	// canonical is for Postgres' text; text is the ClickHouse expression of the same for %[1]s, which is not NULL.
	// Those of arrays and numbers follow from the type: see canonicalOf and expression.
	canonical canonical
	text      string
	// key is the ClickHouse expression of a key column's value from its canonical text %s; "" where no key has the
	// kind, ofType for a cast to the column's type.
	key string
	// postgres gives Postgres' text of a value in a key from its canonical text; nil if they are alike.
	postgres func(text string) (string, error)
}

const ofType = "cast"

// kinds is exhaustive over schemas.Kind.
var kinds = map[schemas.Kind]kind{
	schemas.KindBool:        {canonicalBool, "toString(toUInt8(%s))", "%s = '1'", func(s string) (string, error) { return strconv.FormatBool(s == "1"), nil }},
	schemas.KindInt2:        {canonicalText, "toString(%s)", ofType, nil},
	schemas.KindInt4:        {canonicalText, "toString(%s)", ofType, nil},
	schemas.KindInt8:        {canonicalText, "toString(%s)", ofType, nil},
	schemas.KindFloat4:      {canonicalFloat(32), "if(isNaN(%[1]s), 'NaN', toString(reinterpretAsUInt32(%[1]s)))", "", nil},
	schemas.KindFloat8:      {canonicalFloat(64), "if(isNaN(%[1]s), 'NaN', toString(reinterpretAsUInt64(%[1]s)))", "", nil},
	schemas.KindNumeric:     {canonicalNumeric, "", ofType, nil},
	schemas.KindNumericText: {canonicalText, "toString(%s)", "", nil},
	schemas.KindDate:        {canonicalDate, "toString(toInt32(%s))", "toDate32(toInt32(%s))", temporalText(schemas.KindDate)},
	schemas.KindTimestamp:   {canonicalTimestamp, "toString(toUnixTimestamp64Micro(%s))", "fromUnixTimestamp64Micro(toInt64(%s), 'UTC')", temporalText(schemas.KindTimestamp)},
	schemas.KindTimestampTZ: {canonicalTimestamp, "toString(toUnixTimestamp64Micro(%s))", "fromUnixTimestamp64Micro(toInt64(%s), 'UTC')", temporalText(schemas.KindTimestampTZ)},
	schemas.KindUUID:        {canonicalText, "toString(%s)", ofType, nil},
	schemas.KindBytea:       {canonicalBytea, "lower(hex(%s))", "unhex(%s)", func(s string) (string, error) { return `\x` + s, nil }},
	schemas.KindText:        {canonicalText, "toString(%s)", "%s", nil},
	schemas.KindJSON:        {canonicalText, "toString(%s)", "", nil},
	schemas.KindJSONB:       {canonicalText, "toString(%s)", "", nil},
	schemas.KindEnum:        {canonicalText, "toString(%s)", "%s", nil},
	schemas.KindArray:       {},
	schemas.KindOther:       {canonicalText, "toString(%s)", "", nil},
	schemas.KindYear:        {canonicalYear, "toString(%s)", "", nil},
}

// kindOf gives the kind of a type; one that is not in kinds is a programming error and panics.
func kindOf(t *schemas.Type) kind {
	k, known := kinds[t.Kind]
	if !known {
		panic("verify: kind " + t.Kind.String())
	}
	return k
}

func canonicalOf(t *schemas.Type) canonical {
	if t.Kind == schemas.KindArray {
		return canonicalArray(canonicalOf(t.Elem))
	}
	return kindOf(t).canonical
}

// expression gives the ClickHouse expression that makes the canonical text of x, a value of the type's column that is
// not NULL.
func expression(t *schemas.Type, x string) string {
	if t.Kind == schemas.KindArray {
		return "concat(toString(length(" + x + ")), ';', arrayStringConcat(arrayMap(e -> " + fieldOrNull(t.Elem, "e") + ", " + x + ")))"
	}
	if t.Kind == schemas.KindNumeric { // toString drops trailing zeros
		return fmt.Sprintf("toDecimalString(%s, %d)", x, t.Scale)
	}
	return fmt.Sprintf(kindOf(t).text, x)
}

// fieldOf is appendField in ClickHouse, fieldOrNull likewise of a value or of NULL.
func fieldOf(text string) string { return "concat(toString(length(" + text + ")), ':', " + text + ")" }
func fieldOrNull(t *schemas.Type, x string) string {
	return "if(isNull(" + x + "), 'N', " + fieldOf(expression(t, "assumeNotNull("+x+")")) + ")"
}

// columnExpression is column.append in ClickHouse.
func columnExpression(c *schemas.TableColumn) string {
	x, name := schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name)), schemas.ClickHouseLiteral(c.Name)
	out := fieldOrNull(&c.Type, x)
	if c.Type.Kind == schemas.KindArray {
		out = fieldOf(expression(&c.Type, x))
	}
	if c.Inexact() {
		out += ", if(mapContains(" + schemas.ColInexact + ", " + name + "), concat('!', " + fieldOf(schemas.ColInexact+"["+name+"]") + "), '')"
	}
	return out
}

// rowExpression joins columns of a table.
func rowExpression(t *schemas.Table, columns []int) string {
	var parts []string
	for _, i := range columns {
		parts = append(parts, columnExpression(&t.Columns[i]))
	}
	return "concat(" + strings.Join(parts, ", ") + ", '')"
}

// keyValue gives the ClickHouse expression that makes a key column's value from its canonical text s.
func keyValue(t *schemas.Type, s string) string {
	switch k := kindOf(t); k.key {
	case "":
		panic("verify: " + t.Kind.String() + " in a key")
	case ofType:
		return "CAST(" + s + ", " + schemas.ClickHouseLiteral(schemas.ClickHouseType(*t, false)) + ")"
	default:
		return fmt.Sprintf(k.key, s)
	}
}

// keyText turns the canonical text of a key column back into Postgres' text; the column must have no policy but keep.
func keyText(t *schemas.Type, f field) (string, error) {
	if k := kindOf(t); f.exact == "" && k.postgres != nil {
		return k.postgres(f.value)
	}
	return cmp.Or(f.exact, f.value), nil
}

// temporalText writes days or microseconds since 1970-01-01 as Postgres does.
func temporalText(kind schemas.Kind) func(text string) (string, error) {
	return func(text string) (string, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", errForm
		}
		if kind == schemas.KindDate {
			return string(pgtext.AppendDate(nil, int32(n-pgtext.EpochDays))), nil
		}
		return string(pgtext.AppendTimestamp(nil, n-pgtext.EpochMicros, kind == schemas.KindTimestampTZ)), nil
	}
}
