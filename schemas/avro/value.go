package avro

import (
	"encoding/hex"
	"errors"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// appender appends the Avro form of one non-null value to dst. src is the value in text or in binary form. What it
// returns with an error is not to be used. Appenders of arrays hold scratch memory: each encoder compiles its own.
type appender func(dst, src []byte) ([]byte, error)

// The reasons for which a value cannot be carried. They name no value.
var (
	// errInexact says that Avro cannot hold the value; its text goes to the envelope's `inexact` (rule 31).
	errInexact   = errors.New("the type cannot hold the value exactly")
	errMalformed = pgtext.ErrMalformed
	errRange     = errors.New("number out of its type's range")
	errPrecision = errors.New("number has more digits than its declared precision")
	errScale     = errors.New("number has more digits after the decimal point than its declared scale")
	errNoBinary  = errors.New("its type's binary form is not decoded here")
)

func textAppender(t *schemas.Type) appender {
	switch t.Kind {
	case schemas.KindBool:
		return boolText
	case schemas.KindInt2:
		return intText(16)
	case schemas.KindInt4:
		return intText(32)
	case schemas.KindInt8:
		return intText(64)
	case schemas.KindYear:
		return yearText
	case schemas.KindFloat4:
		return float4Text
	case schemas.KindFloat8:
		return float8Text
	case schemas.KindNumeric:
		return decimalText(t.Precision, t.Scale)
	case schemas.KindDate:
		return dateText
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return timestampText
	case schemas.KindUUID:
		return uuidText
	case schemas.KindBytea:
		return byteaText
	case schemas.KindNumericText, schemas.KindText, schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindOther:
		return plainBytes
	case schemas.KindArray:
		return arrayText(textAppender(t.Elem))
	case schemas.KindInvalid:
	}
	panic("avro: no form for kind " + t.Kind.String())
}

func binaryAppender(t *schemas.Type) appender {
	switch t.Kind {
	case schemas.KindBool:
		return boolBinary
	case schemas.KindInt2:
		return int2Binary
	case schemas.KindInt4:
		return int4Binary
	case schemas.KindInt8:
		return int8Binary
	case schemas.KindFloat4:
		return float4Binary
	case schemas.KindFloat8:
		return float8Binary
	case schemas.KindNumeric:
		return decimalBinary(t.Precision, t.Scale)
	case schemas.KindDate:
		return dateBinary
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return timestampBinary
	case schemas.KindUUID:
		return uuidBinary
	case schemas.KindText:
		if t.Base == charOID || t.OID == charOID {
			return viaText(t)
		}
		return plainBytes
	case schemas.KindBytea, schemas.KindJSON, schemas.KindEnum:
		return plainBytes
	case schemas.KindNumericText, schemas.KindJSONB:
		return viaText(t)
	case schemas.KindArray:
		return arrayBinary(binaryAppender(t.Elem))
	case schemas.KindOther, schemas.KindYear:
		return func(dst, _ []byte) ([]byte, error) { return dst, errNoBinary }
	case schemas.KindInvalid:
	}
	panic("avro: no form for kind " + t.Kind.String())
}

// charOID is the OID of the type "char", whose binary form is not its text.
const charOID = 18

// keyAppenders are those of a key column: dates and timestamps are Postgres' own integers there (rule 31).
func keyAppenders(t *schemas.Type) (text, binary appender) {
	switch {
	case !schemas.KeyInteger(*t):
		return textAppender(t), binaryAppender(t)
	case t.Kind == schemas.KindDate:
		return keyDateText, int4Binary
	}
	return keyTimestampText, int8Binary
}

// plainBytes carries the value as it is, as Avro bytes or string.
func plainBytes(dst, src []byte) ([]byte, error) { return appendString(dst, src), nil }

// viaText carries the text that Postgres would show for a binary value.
func viaText(t *schemas.Type) appender {
	var scratch []byte
	return func(dst, src []byte) (_ []byte, err error) {
		if scratch, err = pgtext.AppendText(scratch[:0], *t, src); err != nil {
			return dst, err
		}
		return appendString(dst, scratch), nil
	}
}

func uuidText(dst, src []byte) ([]byte, error) {
	if len(src) != 36 {
		return dst, errMalformed
	}
	return appendString(dst, src), nil
}

func uuidBinary(dst, src []byte) ([]byte, error) {
	if len(src) != 16 {
		return dst, pgtext.ErrLength
	}
	return pgtext.AppendUUID(append(dst, 36<<1), [16]byte(src)), nil
}

// byteaText reads bytea_output hex.
func byteaText(dst, src []byte) ([]byte, error) {
	if len(src) < 2 || len(src)%2 != 0 || src[0] != '\\' || src[1] != 'x' {
		return dst, errMalformed
	}
	dst = appendLong(dst, int64(len(src)/2-1))
	dst, err := hex.AppendDecode(dst, src[2:])
	if err != nil {
		return dst, errMalformed // hex names the character
	}
	return dst, nil
}
