package avro

import (
	"errors"
	"fmt"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// form is how the values of a type travel.
type form struct {
	schema any // the Avro type of a value that is not null
	text   appender
	size   int // of the binary form in bytes; 0 if it varies
	binary appender
	skip   skipper
}

// appender appends the Avro form of one non-null value to dst. src is the value in text or in binary form, which has
// its size. After an error the result must not be used.
type appender func(dst, src []byte) ([]byte, error)

// skipper skips one value and returns the rest.
type skipper = func(b []byte) (rest []byte, err error)

// forms has the kinds that have one form for all types; formOf has the others.
var forms = [...]form{
	schemas.KindBool:        {"boolean", boolText, 1, boolBinary, fixedSkipper(1)},
	schemas.KindInt2:        {"int", intText(16), 2, int2Binary, skipLong},
	schemas.KindInt4:        {"int", intText(32), 4, int4Binary, skipLong},
	schemas.KindInt8:        {"long", intText(64), 8, int8Binary, skipLong},
	schemas.KindFloat4:      {"float", float4Text, 4, float4Binary, fixedSkipper(4)},
	schemas.KindFloat8:      {"double", float8Text, 8, float8Binary, fixedSkipper(8)},
	schemas.KindNumericText: {"string", plainBytes, 0, nil, skipBytes},
	schemas.KindDate:        {logicalJSON{Type: "int", Logical: "date"}, dateText, 4, dateBinary, skipLong},
	schemas.KindTimestamp:   {logicalJSON{Type: "long", Logical: "local-timestamp-micros"}, timestampText, 8, timestampBinary, skipLong},
	schemas.KindTimestampTZ: {logicalJSON{Type: "long", Logical: "timestamp-micros"}, timestampText, 8, timestampBinary, skipLong},
	schemas.KindUUID:        {logicalJSON{Type: "string", Logical: "uuid"}, uuidText, 16, uuidBinary, skipBytes},
	schemas.KindBytea:       {"bytes", byteaText, 0, plainBytes, skipBytes},
	schemas.KindText:        {"string", plainBytes, 0, plainBytes, skipBytes},
	schemas.KindJSON:        {"string", plainBytes, 0, plainBytes, skipBytes},
	schemas.KindJSONB:       {"string", plainBytes, 0, nil, skipBytes},
	schemas.KindEnum:        {"string", plainBytes, 0, plainBytes, skipBytes},
	schemas.KindOther:       {"string", plainBytes, 0, noBinary, skipBytes},
	schemas.KindYear:        {"int", yearText, 0, noBinary, skipLong},
}

// fromBinary appends a value that came in binary form.
func (f *form) fromBinary(dst, src []byte) ([]byte, error) {
	if f.size > 0 && len(src) != f.size {
		return dst, pgtext.ErrLength
	}
	return f.binary(dst, src)
}

// charOID is the OID of the type "char", whose binary form is not its text.
const charOID = 18

// formOf compiles the form of a type. Appenders of arrays hold scratch memory: each encoder compiles its own.
func formOf(t *schemas.Type) form {
	switch {
	case t.Kind == schemas.KindNumeric:
		decimal := logicalJSON{Type: "bytes", Logical: "decimal", Precision: t.Precision, Scale: &t.Scale}
		return form{decimal, decimalText(t.Precision, t.Scale), 0, decimalBinary(t.Precision, t.Scale), skipBytes}
	case t.Kind == schemas.KindArray:
		elem := formOf(t.Elem)
		array := arrayJSON{Type: "array", Items: []any{"null", elem.schema}}
		return form{array, arrayText(elem.text), 0, arrayBinary(elem), arraySkipper(nullable(elem.skip))}
	case int(t.Kind) >= len(forms) || forms[t.Kind].schema == nil:
		panic("avro: no form for kind " + t.Kind.String())
	}
	f := forms[t.Kind]
	if f.binary == nil || t.Kind == schemas.KindText && (t.Base == charOID || t.OID == charOID) {
		f.binary = viaText(t)
	}
	return f
}

// checkType refuses types without a form. (An array's element is never an array itself: Postgres has no such type.)
func checkType(t *schemas.Type) error {
	switch t.Kind { //nolint:exhaustive // the others have a form
	case schemas.KindNumeric:
		if t.Precision < 1 || t.Precision > maxPrecision || t.Scale < 0 || t.Scale > t.Precision {
			return fmt.Errorf("numeric(%d,%d) has no exact decimal", t.Precision, t.Scale)
		}
	case schemas.KindArray:
		if t.Elem == nil || t.Elem.Kind == schemas.KindArray {
			return errors.New("array without a scalar element type")
		}
		return checkType(t.Elem)
	case schemas.KindInvalid:
		return errors.New("the type has no kind")
	}
	return nil
}

// keyForm is that of a key column: dates and timestamps are Postgres' own integers there (rule 31).
func keyForm(t *schemas.Type) form {
	switch {
	case !schemas.KeyInteger(*t):
		return formOf(t)
	case t.Kind == schemas.KindDate:
		return form{"int", keyDateText, 4, int4Binary, skipLong}
	}
	return form{"long", keyTimestampText, 8, int8Binary, skipLong}
}

// Skipper compiles a function that skips one value of the type and returns the rest. With orNull the value is a union
// [null, T].
func Skipper(t schemas.Type, orNull bool) func(b []byte) (rest []byte, err error) {
	skip := formOf(&t).skip
	if orNull {
		return nullable(skip)
	}
	return skip
}

// nullable skips a union [null, T].
func nullable(skip skipper) skipper {
	return func(b []byte) ([]byte, error) {
		null, b, err := readUnion(b)
		if err != nil || null {
			return b, err
		}
		return skip(b)
	}
}

func fixedSkipper(n int) skipper {
	return func(b []byte) ([]byte, error) {
		if len(b) < n {
			return nil, errShort
		}
		return b[n:], nil
	}
}

func skipLong(b []byte) ([]byte, error) {
	_, rest, err := ReadLong(b)
	return rest, err
}

func skipBytes(b []byte) ([]byte, error) {
	_, rest, err := ReadBytes(b)
	return rest, err
}

func arraySkipper(elem skipper) skipper {
	return func(b []byte) ([]byte, error) { return readItems(b, elem) }
}
