package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	errShort  = errors.New("avro: payload ends inside a value")
	errVarint = errors.New("avro: malformed number")
	errUnion  = errors.New("avro: union branch out of range")
	errBool   = errors.New("avro: malformed boolean")
	errLength = errors.New("avro: malformed length")
)

// appendLong appends an Avro int or long: zigzag, then base 128, low group first.
func appendLong(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v<<1)^uint64(v>>63)) //nolint:gosec // bits are moved on purpose
}

// appendString appends an Avro string or bytes.
func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendLong(dst, int64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// ReadLong reads an Avro int or long and returns the rest.
func ReadLong(b []byte) (int64, []byte, error) {
	if len(b) > 0 && b[0] < 0x80 {
		u := uint64(b[0])
		return int64(u>>1) ^ -int64(u&1), b[1:], nil
	}
	u, n := binary.Uvarint(b)
	if n > 0 {
		return int64(u>>1) ^ -int64(u&1), b[n:], nil
	}
	if n == 0 {
		return 0, nil, errShort
	}
	return 0, nil, errVarint
}

// ReadBytes reads Avro bytes or a string; v aliases b.
func ReadBytes(b []byte) (v, rest []byte, err error) {
	n, b, err := ReadLong(b)
	if err != nil {
		return nil, nil, err
	}
	if n < 0 {
		return nil, nil, errLength
	}
	if n > int64(len(b)) {
		return nil, nil, errShort
	}
	return b[:n:n], b[n:], nil
}

// ReadBool reads an Avro boolean and returns the rest.
func ReadBool(b []byte) (v bool, rest []byte, err error) {
	if len(b) == 0 {
		return false, nil, errShort
	}
	if b[0] > 1 {
		return false, nil, errBool
	}
	return b[0] == 1, b[1:], nil
}

// ReadFloat reads an Avro float and returns the rest.
func ReadFloat(b []byte) (v float32, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, errShort
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b)), b[4:], nil
}

// ReadDouble reads an Avro double and returns the rest.
func ReadDouble(b []byte) (v float64, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, errShort
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:], nil
}

// readUnion reads the branch of a union [null, T].
func readUnion(b []byte) (null bool, rest []byte, err error) {
	if len(b) == 0 {
		return false, nil, errShort
	}
	switch b[0] {
	case branchNull:
		return true, b[1:], nil
	case branchValue:
		return false, b[1:], nil
	}
	return false, nil, errUnion
}

// The branches of a union [null, T] as they are written: zigzag 0 and 1.
const (
	branchNull  = 0
	branchValue = 2
)

// readItems reads an array or a map, item by item, and returns the rest.
func readItems(b []byte, item skipper) ([]byte, error) {
	for {
		n, rest, err := readBlock(b)
		if err != nil || n == 0 {
			return rest, err
		}
		b = rest
		for range n {
			if b, err = item(b); err != nil {
				return nil, err
			}
		}
	}
}

// readBlock reads the head of an array's or map's block: the number of items, 0 at the end. Each item takes a byte at
// least.
func readBlock(b []byte) (n int64, rest []byte, err error) {
	n, b, err = ReadLong(b)
	if err != nil {
		return 0, nil, err
	}
	if n < 0 { // a block with its size in bytes
		if n == math.MinInt64 {
			return 0, nil, errLength
		}
		if _, b, err = ReadLong(b); err != nil {
			return 0, nil, err
		}
		n = -n
	}
	if n > int64(len(b)) {
		return 0, nil, fmt.Errorf("%w: more items than bytes", errLength)
	}
	return n, b, nil
}
