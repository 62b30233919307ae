package pgtext

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"dirtbike/schemas"
)

// maxDimensions is Postgres' MAXDIM.
const maxDimensions = 6

// Array walks the binary form of an array.
type Array struct {
	// Dimensions is 0 for an empty array.
	Dimensions int
	head, rest []byte
	count      int
}

// ParseArray reads the head of an array's binary form; the result aliases b.
func ParseArray(b []byte) (Array, error) {
	if len(b) < 12 {
		return Array{}, ErrLength
	}
	a := Array{Dimensions: int(binary.BigEndian.Uint32(b))}
	if a.Dimensions > maxDimensions || len(b) < 12+8*a.Dimensions {
		return Array{}, fmt.Errorf("array: %w: dimensions", ErrMalformed)
	}
	a.head, a.rest = b[12:12+8*a.Dimensions], b[12+8*a.Dimensions:]
	a.count = min(a.Dimensions, 1)
	for i := range a.Dimensions {
		size := a.Size(i)
		if size < 1 || size > len(a.rest) || a.count*size > len(a.rest) {
			return Array{}, fmt.Errorf("array: %w: size", ErrMalformed)
		}
		a.count *= size
	}
	return a, nil
}

// Len is the number of elements over all dimensions.
func (a *Array) Len() int { return a.count }

// Size is the number of elements along dimension i.
func (a *Array) Size(i int) int { return int(int32(binary.BigEndian.Uint32(a.head[8*i:]))) } //nolint:gosec // the sign bit is meant

// Lower is the lower bound of dimension i.
func (a *Array) Lower(i int) int { return int(int32(binary.BigEndian.Uint32(a.head[8*i+4:]))) } //nolint:gosec // the sign bit is meant

// Next gives the next element in binary form; null says that it is NULL.
func (a *Array) Next() (elem []byte, null bool, err error) {
	if len(a.rest) < 4 {
		return nil, false, ErrLength
	}
	n := int(int32(binary.BigEndian.Uint32(a.rest))) //nolint:gosec // -1 is NULL
	a.rest = a.rest[4:]
	if n == -1 {
		return nil, true, nil
	}
	if n < 0 || n > len(a.rest) {
		return nil, false, ErrLength
	}
	elem, a.rest = a.rest[:n:n], a.rest[n:]
	return elem, false, nil
}

// End reports an error if elements are left over.
func (a *Array) End() error {
	if len(a.rest) != 0 {
		return ErrLength
	}
	return nil
}

// appendArray follows array_out.
func appendArray(dst []byte, elem *schemas.Type, b []byte) ([]byte, error) {
	a, err := ParseArray(b)
	if err != nil {
		return dst, err
	}
	if elem == nil {
		return dst, fmt.Errorf("array: %w: no element type", ErrMalformed)
	}
	out := append(dst, "{}"...)
	if a.count > 0 {
		out, err = a.appendLevel(a.appendBounds(dst), elem, 0)
	}
	if err == nil {
		err = a.End()
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// appendBounds writes [lower:upper]… of all dimensions and '=' if one does not begin at 1.
func (a *Array) appendBounds(dst []byte) []byte {
	shown := false
	for i := range a.Dimensions {
		shown = shown || a.Lower(i) != 1
	}
	if !shown {
		return dst
	}
	for i := range a.Dimensions {
		dst = strconv.AppendInt(append(dst, '['), int64(a.Lower(i)), 10)
		dst = strconv.AppendInt(append(dst, ':'), int64(a.Lower(i)+a.Size(i)-1), 10)
		dst = append(dst, ']')
	}
	return append(dst, '=')
}

// appendLevel writes one dimension and, inside it, the ones below.
func (a *Array) appendLevel(dst []byte, elem *schemas.Type, level int) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i := range a.Size(level) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if level+1 < a.Dimensions {
			dst, err = a.appendLevel(dst, elem, level+1)
		} else {
			dst, err = a.appendElement(dst, elem)
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func (a *Array) appendElement(dst []byte, elem *schemas.Type) ([]byte, error) {
	value, null, err := a.Next()
	if err != nil {
		return dst, err
	}
	if null {
		return append(dst, "NULL"...), nil
	}
	start := len(dst)
	if dst, err = appendText(dst, elem, value); err != nil {
		return dst, err
	}
	return quote(dst, start), nil
}

// quote puts dst[start:] into double quotes, in place, if array_in would otherwise read it differently.
func quote(dst []byte, start int) []byte {
	text := dst[start:]
	needed, escapes := len(text) == 0 || bytes.EqualFold(text, []byte("NULL")), 0
	for _, c := range text {
		switch c {
		case '"', '\\':
			needed, escapes = true, escapes+1
		case '{', '}', ',', ' ', '\t', '\n', '\r', '\v', '\f':
			needed = true
		}
	}
	if !needed {
		return dst
	}
	from := len(dst) - 1
	for range escapes + 2 {
		dst = append(dst, '"')
	}
	// From the end, so that no byte is overwritten before it has moved.
	for to := len(dst) - 2; from >= start; from, to = from-1, to-1 {
		dst[to] = dst[from]
		if dst[to] == '"' || dst[to] == '\\' {
			to--
			dst[to] = '\\'
		}
	}
	dst[start] = '"'
	return dst
}
