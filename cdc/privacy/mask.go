package privacy

import (
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// mask replaces every value by a constant of the column's type.
type mask struct {
	constant string
	output   schemas.Type
}

// newMask picks the constant: '***' for text, and a neutral value that people recognise elsewhere. What is text only by
// its form (enums, types without an equivalent) becomes text, since '***' is no value of theirs.
func newMask(t schemas.Type) (*mask, error) {
	switch t.Kind {
	case schemas.KindText, schemas.KindEnum, schemas.KindOther:
		return &mask{"***", textType()}, nil
	case schemas.KindBool:
		return &mask{"f", t}, nil
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindFloat4, schemas.KindFloat8, schemas.KindNumericText:
		return &mask{"0", t}, nil
	case schemas.KindNumeric:
		return &mask{zero(t.Scale), t}, nil
	case schemas.KindDate:
		return &mask{"1970-01-01", t}, nil
	case schemas.KindTimestamp:
		return &mask{"1970-01-01 00:00:00", t}, nil
	case schemas.KindTimestampTZ:
		return &mask{"1970-01-01 00:00:00+00", t}, nil
	case schemas.KindUUID:
		return &mask{"00000000-0000-0000-0000-000000000000", t}, nil
	case schemas.KindBytea:
		return &mask{`\x`, t}, nil
	case schemas.KindJSON, schemas.KindJSONB, schemas.KindArray:
		return &mask{"{}", t}, nil
	case schemas.KindYear, schemas.KindInvalid:
	}
	return nil, cdc.Failed("policy mask has no constant for type %s (%s)", t.Name, t.Kind).Fix("drop")
}

// zero is 0 as numeric_out prints it with that scale.
func zero(scale int) string {
	if scale == 0 {
		return "0"
	}
	return "0." + strings.Repeat("0", scale)
}

func (m *mask) Policy() string       { return "mask" }
func (m *mask) Output() schemas.Type { return m.output }
func (m *mask) Print() string        { return "mask " + m.constant }

func (m *mask) Apply(dst, _ []byte) ([]byte, error) { return append(dst, m.constant...), nil }
