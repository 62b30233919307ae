package verify

import (
	"fmt"
	"strconv"
	"strings"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// expression gives the ClickHouse expression that makes the canonical text of x, a value of the type's column that is
// not NULL.
func expression(t *schemas.Type, x string) string {
	switch t.Kind {
	case schemas.KindBool:
		return "toString(toUInt8(" + x + "))"
	case schemas.KindFloat4:
		return "if(isNaN(" + x + "), 'NaN', toString(reinterpretAsUInt32(" + x + ")))"
	case schemas.KindFloat8:
		return "if(isNaN(" + x + "), 'NaN', toString(reinterpretAsUInt64(" + x + ")))"
	case schemas.KindDate:
		return "toString(toInt32(" + x + "))"
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return "toString(toUnixTimestamp64Micro(" + x + "))"
	case schemas.KindBytea:
		return "lower(hex(" + x + "))"
	case schemas.KindArray:
		elem := "if(isNull(e), 'N', " + fieldOf(expression(t.Elem, "assumeNotNull(e)")) + ")"
		return "concat(toString(length(" + x + ")), ';', arrayStringConcat(arrayMap(e -> " + elem + ", " + x + ")))"
	case schemas.KindNumeric: // toString drops trailing zeros
		return fmt.Sprintf("toDecimalString(%s, %d)", x, t.Scale)
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindNumericText, schemas.KindUUID, schemas.KindText,
		schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindOther, schemas.KindYear:
		return "toString(" + x + ")"
	case schemas.KindInvalid:
	}
	panic("verify: expression of " + t.Kind.String())
}

// fieldOf is appendField in ClickHouse.
func fieldOf(text string) string { return "concat(toString(length(" + text + ")), ':', " + text + ")" }

// columnExpression is column.append in ClickHouse.
func columnExpression(c *schemas.TableColumn) string {
	x := schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name))
	out := "if(isNull(" + x + "), 'N', " + fieldOf(expression(&c.Type, "assumeNotNull("+x+")")) + ")"
	if c.Type.Kind == schemas.KindArray {
		out = fieldOf(expression(&c.Type, x))
	}
	if c.Inexact() {
		exact := schemas.ColInexact + "[" + schemas.ClickHouseLiteral(c.Name) + "]"
		out += ", if(mapContains(" + schemas.ColInexact + ", " + schemas.ClickHouseLiteral(c.Name) + "), concat('!', " + fieldOf(exact) + "), '')"
	}
	return out
}

// rowExpression joins columns.
func rowExpression(columns []*schemas.TableColumn) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = columnExpression(c)
	}
	return "concat(" + strings.Join(parts, ", ") + ", '')"
}

// keyValue gives the ClickHouse expression that makes a key column's value from its canonical text s.
func keyValue(t *schemas.Type, s string) string {
	switch t.Kind {
	case schemas.KindBool:
		return s + " = '1'"
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindUUID:
		return "CAST(" + s + ", " + schemas.ClickHouseLiteral(schemas.ClickHouseType(*t, false)) + ")"
	case schemas.KindNumeric:
		return fmt.Sprintf("CAST(%s, 'Decimal(%d, %d)')", s, t.Precision, t.Scale)
	case schemas.KindDate:
		return "toDate32(toInt32(" + s + "))"
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return "fromUnixTimestamp64Micro(toInt64(" + s + "), 'UTC')"
	case schemas.KindBytea:
		return "unhex(" + s + ")"
	case schemas.KindText, schemas.KindEnum:
		return s
	case schemas.KindInvalid, schemas.KindFloat4, schemas.KindFloat8, schemas.KindNumericText, schemas.KindJSON, schemas.KindJSONB,
		schemas.KindArray, schemas.KindOther, schemas.KindYear:
	}
	panic("verify: " + t.Kind.String() + " in a key")
}

// keyText turns the canonical text of a key column back into Postgres' text of it; no policy is between the two.
func keyText(t *schemas.Type, f field) (string, error) {
	if f.exact != "" {
		return f.exact, nil
	}
	switch t.Kind {
	case schemas.KindBool:
		return strconv.FormatBool(f.value == "1"), nil
	case schemas.KindBytea:
		return `\x` + f.value, nil
	case schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ:
		return temporalText(t.Kind, f.value)
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindNumeric, schemas.KindUUID, schemas.KindText, schemas.KindEnum:
		return f.value, nil
	case schemas.KindInvalid, schemas.KindFloat4, schemas.KindFloat8, schemas.KindNumericText, schemas.KindJSON, schemas.KindJSONB,
		schemas.KindArray, schemas.KindOther, schemas.KindYear:
	}
	panic("verify: " + t.Kind.String() + " in a key")
}

// temporalText writes days or microseconds since 1970-01-01 as Postgres does.
func temporalText(kind schemas.Kind, value string) (string, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return "", errForm
	}
	if kind == schemas.KindDate {
		return string(pgtext.AppendDate(nil, int32(n-pgtext.EpochDays))), nil
	}
	return string(pgtext.AppendTimestamp(nil, n-pgtext.EpochMicros, kind == schemas.KindTimestampTZ)), nil
}
