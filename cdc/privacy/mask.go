package privacy

import (
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// mask replaces every value by a constant of the column's type: '***' for text, and a neutral value that people
// recognise elsewhere. What is text only by its form (enums, types without an equivalent) becomes text, since '***' is
// no value of theirs.
func mask(t schemas.Type) (*transform, error) {
	constant := ""
	switch t.Kind {
	case schemas.KindText, schemas.KindEnum, schemas.KindOther:
		constant, t = "***", textType()
	case schemas.KindBool:
		constant = "f"
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindFloat4, schemas.KindFloat8, schemas.KindNumericText:
		constant = "0"
	case schemas.KindNumeric:
		constant = zero(t.Scale)
	case schemas.KindDate:
		constant = "1970-01-01"
	case schemas.KindTimestamp:
		constant = "1970-01-01 00:00:00"
	case schemas.KindTimestampTZ:
		constant = "1970-01-01 00:00:00+00"
	case schemas.KindUUID:
		constant = "00000000-0000-0000-0000-000000000000"
	case schemas.KindBytea:
		constant = `\x`
	case schemas.KindJSON, schemas.KindJSONB, schemas.KindArray:
		constant = "{}"
	case schemas.KindYear, schemas.KindInvalid:
		return nil, cdc.Failed("policy mask has no constant for type %s (%s)", t.Name, t.Kind).Fix("drop")
	}
	return &transform{"mask", t, "mask " + constant, func(dst, _ []byte, _ int64) ([]byte, error) { return append(dst, constant...), nil }}, nil
}

// zero is 0 as numeric_out prints it with that scale.
func zero(scale int) string {
	if scale == 0 {
		return "0"
	}
	return "0." + strings.Repeat("0", scale)
}
