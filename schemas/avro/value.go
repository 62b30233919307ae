package avro

import (
	"encoding/hex"
	"errors"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

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

// plainBytes carries the value as it is, as Avro bytes or string.
func plainBytes(dst, src []byte) ([]byte, error) { return appendString(dst, src), nil }

func noBinary(dst, _ []byte) ([]byte, error) { return dst, errNoBinary }

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
