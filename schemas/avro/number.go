package avro

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"
)

// parseInt reads a decimal integer of at most the given bits.
func parseInt(b []byte, bits uint) (int64, error) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, errMalformed
	}
	var u uint64
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, errMalformed
		}
		u = u*10 + uint64(d) // 19 digits stay below 2⁶⁴
	}
	limit := uint64(1) << (bits - 1)
	switch {
	case negative && u <= limit:
		return -int64(u), nil // -2⁶³ is its own negative
	case !negative && u < limit:
		return int64(u), nil
	}
	return 0, errRange
}

func intText(bits uint) appender {
	return func(dst, src []byte) ([]byte, error) {
		v, err := parseInt(src, bits)
		if err != nil {
			return dst, err
		}
		return appendLong(dst, v), nil
	}
}

func int2Binary(dst, src []byte) ([]byte, error) {
	return appendLong(dst, int64(int16(binary.BigEndian.Uint16(src)))), nil //nolint:gosec // the sign bit is meant
}

func int4Binary(dst, src []byte) ([]byte, error) {
	return appendLong(dst, int64(int32(binary.BigEndian.Uint32(src)))), nil //nolint:gosec // the sign bit is meant
}

func int8Binary(dst, src []byte) ([]byte, error) {
	return appendLong(dst, int64(binary.BigEndian.Uint64(src))), nil //nolint:gosec // the sign bit is meant
}

// yearText reads what the policy `year` writes: an integer, or an infinity, which Avro's int cannot hold.
func yearText(dst, src []byte) ([]byte, error) {
	if string(src) == "infinity" || string(src) == "-infinity" {
		return dst, errInexact
	}
	v, err := parseInt(src, 32)
	if err != nil {
		return dst, err
	}
	return appendLong(dst, v), nil
}

func boolText(dst, src []byte) ([]byte, error) {
	if len(src) != 1 || src[0] != 't' && src[0] != 'f' {
		return dst, errMalformed
	}
	return appendBool(dst, src[0] == 't'), nil
}

func boolBinary(dst, src []byte) ([]byte, error) {
	return appendBool(dst, src[0] != 0), nil
}

// canonicalNaN: a NaN's sign and payload do not show in Postgres' text, so they must not make a difference here.
const (
	canonicalNaN32 = 0x7fc0_0000
	canonicalNaN64 = 0x7ff8_0000_0000_0000
)

func appendFloat32(dst []byte, f float32) []byte {
	b := math.Float32bits(f)
	if f != f {
		b = canonicalNaN32
	}
	return binary.LittleEndian.AppendUint32(dst, b)
}

func appendFloat64(dst []byte, f float64) []byte {
	b := math.Float64bits(f)
	if f != f {
		b = canonicalNaN64
	}
	return binary.LittleEndian.AppendUint64(dst, b)
}

// parseFloat allocates nothing. strconv's error holds the text, so it is dropped.
func parseFloat(src []byte, bits int) (float64, error) {
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(src), len(src)), bits) //nolint:gosec // the string does not outlive the call
	if err != nil {
		return 0, errMalformed
	}
	return f, nil
}

func float4Text(dst, src []byte) ([]byte, error) {
	f, err := parseFloat(src, 32)
	if err != nil {
		return dst, err
	}
	return appendFloat32(dst, float32(f)), nil
}

func float8Text(dst, src []byte) ([]byte, error) {
	f, err := parseFloat(src, 64)
	if err != nil {
		return dst, err
	}
	return appendFloat64(dst, f), nil
}

func float4Binary(dst, src []byte) ([]byte, error) {
	return appendFloat32(dst, math.Float32frombits(binary.BigEndian.Uint32(src))), nil
}

func float8Binary(dst, src []byte) ([]byte, error) {
	return appendFloat64(dst, math.Float64frombits(binary.BigEndian.Uint64(src))), nil
}
