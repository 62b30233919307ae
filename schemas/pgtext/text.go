package pgtext

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"

	"dirtbike/schemas"
)

// The reasons for which a value is refused. They name no value.
var (
	// ErrLength says that a binary value has another length than its type's.
	ErrLength = errors.New("binary value of the wrong length")
	// ErrMalformed says that a value does not have its type's form.
	ErrMalformed = errors.New("malformed value")
)

// charOID is the OID of the one-byte type "char", the only one of KindText whose binary form is not its text.
const charOID = 18

// AppendText appends to dst the text of a non-null value given in binary form. On an error dst is returned as it was.
// KindOther, KindYear and KindInvalid have no binary form here and give an error.
func AppendText(dst []byte, t schemas.Type, value []byte) ([]byte, error) {
	return appendText(dst, &t, value)
}

func appendText(dst []byte, t *schemas.Type, b []byte) ([]byte, error) {
	if f := &fixed[t.Kind]; f.size > 0 {
		if len(b) != f.size {
			return dst, ErrLength
		}
		return f.write(dst, b), nil
	}
	switch t.Kind { //nolint:exhaustive // the others are of fixed size, or have no binary form
	case schemas.KindText:
		if t.Base == charOID || t.OID == charOID {
			return appendChar(dst, b)
		}
		return append(dst, b...), nil
	case schemas.KindJSON, schemas.KindEnum:
		return append(dst, b...), nil
	case schemas.KindJSONB:
		return appendJSONB(dst, b)
	case schemas.KindNumeric, schemas.KindNumericText:
		return appendNumeric(dst, b)
	case schemas.KindArray:
		return appendArray(dst, t.Elem, b)
	case schemas.KindBytea:
		return hex.AppendEncode(append(dst, '\\', 'x'), b), nil
	}
	return dst, fmt.Errorf("type kind %s has no binary form here", t.Kind)
}

// fixed are the kinds whose binary form always has the same size in bytes.
var fixed = [schemas.KindYear + 1]struct {
	size  int
	write func(dst, b []byte) []byte
}{
	schemas.KindBool:        {1, func(dst, b []byte) []byte { return append(dst, "ft"[min(b[0], 1)]) }},
	schemas.KindInt2:        {2, func(dst, b []byte) []byte { return strconv.AppendInt(dst, int64(int16(be.Uint16(b))), 10) }},
	schemas.KindInt4:        {4, func(dst, b []byte) []byte { return strconv.AppendInt(dst, int64(int32(be.Uint32(b))), 10) }},
	schemas.KindInt8:        {8, func(dst, b []byte) []byte { return strconv.AppendInt(dst, int64(be.Uint64(b)), 10) }},
	schemas.KindFloat4:      {4, func(dst, b []byte) []byte { return AppendFloat(dst, float64(math.Float32frombits(be.Uint32(b))), 32) }},
	schemas.KindFloat8:      {8, func(dst, b []byte) []byte { return AppendFloat(dst, math.Float64frombits(be.Uint64(b)), 64) }},
	schemas.KindDate:        {4, func(dst, b []byte) []byte { return AppendDate(dst, int32(be.Uint32(b))) }},
	schemas.KindTimestamp:   {8, func(dst, b []byte) []byte { return AppendTimestamp(dst, int64(be.Uint64(b)), false) }},
	schemas.KindTimestampTZ: {8, func(dst, b []byte) []byte { return AppendTimestamp(dst, int64(be.Uint64(b)), true) }},
	schemas.KindUUID:        {16, func(dst, b []byte) []byte { return AppendUUID(dst, [16]byte(b)) }},
}

var be = binary.BigEndian

// AppendUUID writes the 36 characters of a UUID, in lower case.
func AppendUUID(dst []byte, u [16]byte) []byte {
	for i, part := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, u[part[0]:part[1]])
	}
	return dst
}

// appendChar follows charout of Postgres 15 and later: nothing for a zero byte, \ooo for a byte that is not ASCII.
func appendChar(dst, b []byte) ([]byte, error) {
	if len(b) != 1 {
		return dst, ErrLength
	}
	switch c := b[0]; {
	case c == 0:
		return dst, nil
	case c >= 0x80:
		return append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7), nil
	default:
		return append(dst, c), nil
	}
}

// appendJSONB strips the version byte; what follows is already jsonb_out's text.
func appendJSONB(dst, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return dst, ErrLength
	}
	if b[0] != 1 {
		return dst, fmt.Errorf("jsonb: %w: unknown version", ErrMalformed)
	}
	return append(dst, b[1:]...), nil
}
