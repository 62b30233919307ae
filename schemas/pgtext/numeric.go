package pgtext

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The sign field of numeric's binary form.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInf      = 0xD000
	numericNegInf   = 0xF000
)

// Numeric is the binary form of a numeric, taken apart: the value is Σ digit(i)·10000^(Weight−i), shown with Scale
// digits after the point.
type Numeric struct {
	Weight   int
	Scale    int
	Negative bool
	// Special is "NaN", "Infinity" or "-Infinity"; then there are no digits.
	Special string
	digits  []byte
}

// ParseNumeric takes the binary form apart; the result aliases b.
func ParseNumeric(b []byte) (Numeric, error) {
	if len(b) < 8 {
		return Numeric{}, ErrLength
	}
	n := Numeric{
		Weight: int(int16(binary.BigEndian.Uint16(b[2:]))), //nolint:gosec // the sign bit is meant
		Scale:  int(binary.BigEndian.Uint16(b[6:])), digits: b[8:],
	}
	if len(n.digits) != 2*int(binary.BigEndian.Uint16(b)) {
		return Numeric{}, ErrLength
	}
	switch binary.BigEndian.Uint16(b[4:]) {
	case numericPositive:
	case numericNegative:
		n.Negative = true
	case numericNaN:
		return Numeric{Special: "NaN"}, nil
	case numericInf:
		return Numeric{Special: "Infinity"}, nil
	case numericNegInf:
		return Numeric{Special: "-Infinity"}, nil
	default:
		return Numeric{}, fmt.Errorf("numeric: %w: unknown sign", ErrMalformed)
	}
	if n.Scale > math.MaxInt16>>1 {
		return Numeric{}, fmt.Errorf("numeric: %w: scale out of range", ErrMalformed)
	}
	for i := range n.Len() {
		if n.Digit(i) > 9999 {
			return Numeric{}, fmt.Errorf("numeric: %w: digit out of range", ErrMalformed)
		}
	}
	return n, nil
}

// Len is the number of base-10000 digits.
func (n *Numeric) Len() int { return len(n.digits) / 2 }

// Digit gives digit i, from 0 to 9999; 0 before the first and after the last one stored.
func (n *Numeric) Digit(i int) int {
	if i < 0 || 2*i >= len(n.digits) {
		return 0
	}
	return int(n.digits[2*i])<<8 | int(n.digits[2*i+1])
}

// appendNumeric follows numeric_out.
func appendNumeric(dst, b []byte) ([]byte, error) {
	n, err := ParseNumeric(b)
	if err != nil {
		return dst, err
	}
	if n.Special != "" {
		return append(dst, n.Special...), nil
	}
	if n.Negative {
		dst = append(dst, '-')
	}
	return n.appendFraction(n.appendWhole(dst)), nil
}

// appendWhole writes the digits before the point, without leading zeros but at least one.
func (n *Numeric) appendWhole(dst []byte) []byte {
	start := len(dst)
	for i := 0; i <= n.Weight; i++ {
		d := n.Digit(i)
		for unit := 1000; unit > 0; unit /= 10 {
			if c := byte('0' + d/unit%10); c != '0' || len(dst) > start {
				dst = append(dst, c)
			}
		}
	}
	if len(dst) == start {
		dst = append(dst, '0')
	}
	return dst
}

// appendFraction writes the point and Scale digits.
func (n *Numeric) appendFraction(dst []byte) []byte {
	if n.Scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for i, left := n.Weight+1, n.Scale; left > 0; i++ {
		d := n.Digit(i)
		for unit := 1000; unit > 0 && left > 0; unit, left = unit/10, left-1 {
			dst = append(dst, byte('0'+d/unit%10))
		}
	}
	return dst
}
