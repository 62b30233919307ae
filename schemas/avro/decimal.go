package avro

import (
	"encoding/binary"
	"math/bits"

	"dirtbike/schemas/pgtext"
)

// maxPrecision is the largest precision whose unscaled value fits into 256 bits with its sign (10⁷⁶ < 2²⁵³).
const maxPrecision = 76

var pow10 = [...]uint64{1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// wide is an unsigned number of up to 256 bits, low word first; n words are in use.
type wide struct {
	w [4]uint64
	n int
}

// mulAdd makes x·m + a. The caller has seen that the result has at most 76 digits.
func (x *wide) mulAdd(m, a uint64) {
	carry := a
	for i := 0; i < x.n; i++ {
		high, low := bits.Mul64(x.w[i], m)
		low, c := bits.Add64(low, carry, 0)
		x.w[i], carry = low, high+c
	}
	if carry != 0 {
		x.w[x.n] = carry
		x.n++
	}
}

// scale multiplies by 10^n.
func (x *wide) scale(n int) {
	for ; n > 18; n -= 18 {
		x.mulAdd(pow10[18], 0)
	}
	x.mulAdd(pow10[n], 0)
}

// appendDecimal appends Avro bytes: the shortest two's complement of ±x, big-endian.
func (x *wide) appendDecimal(dst []byte, negative bool) []byte {
	if x.n <= 1 && x.w[0] < 1<<63 {
		v := int64(x.w[0]) //nolint:gosec // below 2⁶³
		if negative {
			v = -v
		}
		size := bits.Len64(uint64(v^v>>63))/8 + 1 //nolint:gosec // bits are counted
		dst = append(dst, byte(size<<1))          //nolint:gosec // at most 8
		for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
			dst = append(dst, byte(v>>shift)) //nolint:gosec // cut on purpose
		}
		return dst
	}
	var b [32]byte
	carry := uint64(1)
	for i, word := range x.w {
		if negative {
			word, carry = bits.Add64(^word, 0, carry)
		}
		binary.BigEndian.PutUint64(b[24-8*i:], word)
	}
	from := 0
	for from < 31 && (b[from] == 0 && b[from+1] < 0x80 || b[from] == 0xff && b[from+1] >= 0x80) {
		from++
	}
	return appendString(dst, b[from:])
}

// decimalText compiles the appender of numeric(p,s) from Postgres' text. A value fits if it has at most p digits when
// written with s digits after the decimal point.
func decimalText(p, s int) appender {
	return func(dst, src []byte) ([]byte, error) {
		if isSpecial(src) {
			return dst, errInexact
		}
		b := src
		negative := len(b) > 0 && b[0] == '-'
		if negative {
			b = b[1:]
		}
		var x wide
		if err := x.parse(b, p, s); err != nil {
			return dst, err
		}
		return x.appendDecimal(dst, negative), nil
	}
}

// isSpecial reports whether the text is NaN or an infinity.
func isSpecial(b []byte) bool {
	return string(b) == "NaN" || string(b) == "Infinity" || string(b) == "-Infinity"
}

// parse reads digits with at most one point, as an unscaled number of scale s.
func (x *wide) parse(b []byte, p, s int) error {
	var chunk uint64
	pending, significant, fraction, seen := 0, 0, -1, 0 // fraction < 0: before the point
	for _, c := range b {
		if c == '.' && fraction < 0 {
			fraction = 0
			continue
		}
		d := c - '0'
		if d > 9 {
			return errMalformed
		}
		seen++
		if fraction >= s {
			if d != 0 {
				return errScale
			}
			continue
		}
		if fraction >= 0 {
			fraction++
		}
		if significant > 0 || d != 0 {
			if significant++; significant > p {
				return errPrecision
			}
		}
		chunk = chunk*10 + uint64(d)
		if pending++; pending == 18 {
			x.mulAdd(pow10[18], chunk)
			chunk, pending = 0, 0
		}
	}
	if seen == 0 {
		return errMalformed
	}
	x.mulAdd(pow10[pending], chunk)
	missing := s - max(fraction, 0)
	if significant > 0 && significant+missing > p {
		return errPrecision
	}
	x.scale(missing)
	return nil
}

// decimalBinary compiles the appender of numeric(p,s) from Postgres' binary form.
func decimalBinary(p, s int) appender {
	return func(dst, src []byte) ([]byte, error) {
		n, err := pgtext.ParseNumeric(src)
		if err != nil {
			return dst, err
		}
		if n.Special != "" {
			return dst, errInexact
		}
		var x wide
		if err := x.fold(&n, p, s); err != nil {
			return dst, err
		}
		return x.appendDecimal(dst, n.Negative), nil
	}
}

// fold adds up the base-10000 digits. exp is the power of ten of the current digit's unit in the unscaled number.
func (x *wide) fold(n *pgtext.Numeric, p, s int) error {
	first := 0
	for first < n.Len() && n.Digit(first) == 0 {
		first++
	}
	if first == n.Len() {
		return nil
	}
	exp := 4*(n.Weight-first) + s
	if exp+decimalDigits(n.Digit(first)) > p {
		return errPrecision
	}
	i := first
	for ; i < n.Len() && exp >= 0; i++ {
		x.mulAdd(10_000, uint64(n.Digit(i))) //nolint:gosec // 0 to 9999
		exp -= 4
	}
	// The last digit was that of 10^(exp+4); what is left of it after the unscaled number's last digit must be zero.
	if exp >= 0 || exp+4 > 0 && i == n.Len() {
		x.scale(exp + 4)
		return nil
	}
	return x.foldRest(n, i, exp)
}

// foldRest takes the digits that lie partly or wholly after the unscaled number's last one.
func (x *wide) foldRest(n *pgtext.Numeric, i, exp int) error {
	if i < n.Len() && exp > -4 {
		unit := int(pow10[-exp]) //nolint:gosec // at most 1000
		if n.Digit(i)%unit != 0 {
			return errScale
		}
		x.mulAdd(pow10[4+exp], uint64(n.Digit(i)/unit)) //nolint:gosec // 0 to 9999
		i++
	}
	for ; i < n.Len(); i++ {
		if n.Digit(i) != 0 {
			return errScale
		}
	}
	return nil
}

// decimalDigits counts the digits of d, 1 to 9999.
func decimalDigits(d int) int {
	switch {
	case d >= 1000:
		return 4
	case d >= 100:
		return 3
	case d >= 10:
		return 2
	}
	return 1
}
