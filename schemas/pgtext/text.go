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
	switch t.Kind {
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
	case schemas.KindBool, schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindFloat4, schemas.KindFloat8,
		schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ, schemas.KindUUID:
		if len(b) != fixedSize(t.Kind) {
			return dst, ErrLength
		}
		return appendFixed(dst, t.Kind, b), nil
	case schemas.KindOther, schemas.KindYear, schemas.KindInvalid:
	}
	return dst, fmt.Errorf("type kind %s has no binary form here", t.Kind)
}

// fixedSize gives the length in bytes of a binary value; 0 for kinds of variable length.
func fixedSize(k schemas.Kind) int {
	switch k {
	case schemas.KindBool:
		return 1
	case schemas.KindInt2:
		return 2
	case schemas.KindInt4, schemas.KindFloat4, schemas.KindDate:
		return 4
	case schemas.KindInt8, schemas.KindFloat8, schemas.KindTimestamp, schemas.KindTimestampTZ:
		return 8
	case schemas.KindUUID:
		return 16
	case schemas.KindInvalid, schemas.KindNumeric, schemas.KindNumericText, schemas.KindBytea, schemas.KindText,
		schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindArray, schemas.KindOther, schemas.KindYear:
	}
	return 0
}

// appendFixed writes a value of a fixed-size kind; b has that size.
func appendFixed(dst []byte, k schemas.Kind, b []byte) []byte {
	switch k {
	case schemas.KindBool:
		if b[0] != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case schemas.KindInt2:
		return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(b))), 10) //nolint:gosec // the sign bit is meant
	case schemas.KindInt4:
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(b))), 10) //nolint:gosec // the sign bit is meant
	case schemas.KindInt8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(b)), 10) //nolint:gosec // the sign bit is meant
	case schemas.KindFloat4:
		return AppendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32)
	case schemas.KindFloat8:
		return AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(b)), 64)
	case schemas.KindDate:
		return AppendDate(dst, int32(binary.BigEndian.Uint32(b))) //nolint:gosec // the sign bit is meant
	case schemas.KindTimestamp:
		return AppendTimestamp(dst, int64(binary.BigEndian.Uint64(b)), false) //nolint:gosec // the sign bit is meant
	case schemas.KindTimestampTZ:
		return AppendTimestamp(dst, int64(binary.BigEndian.Uint64(b)), true) //nolint:gosec // the sign bit is meant
	case schemas.KindUUID:
		return AppendUUID(dst, [16]byte(b))
	case schemas.KindInvalid, schemas.KindNumeric, schemas.KindNumericText, schemas.KindBytea, schemas.KindText,
		schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindArray, schemas.KindOther, schemas.KindYear:
	}
	panic("pgtext: kind " + k.String() + " has no fixed size")
}

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
