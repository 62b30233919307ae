package pgtext

import (
	"math"
	"math/bits"
	"strconv"
)

// AppendFloat writes a float4 (bits 32) or float8 (bits 64) as Postgres does since version 12: the shortest decimal
// that reads back as the same value, without relying on the reader to round half to even; in plain notation from 1e-04
// up to FLT_DIG or DBL_DIG digits, otherwise with an exponent of at least two digits.
func AppendFloat(dst []byte, f float64, size int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0:
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, '0')
	}
	if f < 0 {
		dst, f = append(dst, '-'), -f
	}
	var scratch [32]byte
	digits, exp := shortest(scratch[:0], f, size)
	limit := 15 // DBL_DIG
	if size == 32 {
		limit = 6 // FLT_DIG
	}
	if exp >= -4 && exp < limit {
		return appendPlain(dst, digits, exp)
	}
	return appendScientific(dst, digits, exp)
}

// shortest gives the digits d₀d₁d₂… and exponent of f = d₀.d₁d₂…·10^exp, f positive and finite. strconv differs twice:
// it takes a decimal that is half-way to a neighbour if reading it rounds to f, where Postgres takes none; and of two
// decimals equally near to f Postgres takes the even one.
func shortest(scratch []byte, f float64, size int) (digits []byte, exp int) {
	digits, exp = split(strconv.AppendFloat(scratch, f, 'e', -1, size))
	for n := len(digits); onBoundary(digits, exp, f, size); n++ {
		digits, exp = split(strconv.AppendFloat(scratch, f, 'e', n-1, size))
	}
	var buffer [32]byte
	even := strconv.AppendFloat(buffer[:0], f, 'e', len(digits)-1, size) // rounds half to even
	back, err := strconv.ParseFloat(string(even), size)
	evenDigits, evenExp := split(even)
	if err == nil && back == f && !onBoundary(evenDigits, evenExp, f, size) {
		return append(scratch[:0], evenDigits...), evenExp
	}
	return digits, exp
}

// split takes strconv's d.ddde±xx apart, in place, without trailing zeros.
func split(b []byte) (digits []byte, exp int) {
	e := len(b) - 1
	for b[e] != 'e' {
		e--
	}
	for _, c := range b[e+2:] {
		exp = exp*10 + int(c-'0')
	}
	if b[e+1] == '-' {
		exp = -exp
	}
	digits = b[:e]
	if e > 1 {
		copy(b[1:], b[2:e])
		digits = b[:e-1]
	}
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return digits, exp
}

// onBoundary reports whether the decimal is exactly half-way between f and one of its neighbours: an odd number times a
// power of two, one bit below f's last one (or two, below a power of two, where the lower neighbour is nearer).
func onBoundary(digits []byte, exp int, f float64, size int) bool {
	odd, twos, ok := oddTimesPower(digits, exp)
	if !ok {
		return false
	}
	mantissa, low := mantissaOf(f, size)
	if twos == low-1 && (odd == 2*mantissa+1 || odd == 2*mantissa-1) {
		return true
	}
	return bits.OnesCount64(mantissa) == 1 && twos == low-2 && odd == 4*mantissa-1
}

// mantissaOf gives f = mantissa·2^low with the full width of the type's mantissa (less for subnormal numbers).
func mantissaOf(f float64, size int) (mantissa uint64, low int) {
	if size == 32 {
		b := math.Float32bits(float32(f))
		if e := int(b >> 23); e > 0 {
			return uint64(b&(1<<23-1) | 1<<23), e - 150
		}
		return uint64(b), -149
	}
	b := math.Float64bits(f)
	if e := int(b >> 52); e > 0 {
		return b&(1<<52-1) | 1<<52, e - 1075
	}
	return b, -1074
}

// oddTimesPower writes the decimal as odd·2^twos; ok is false if it is no such number, or one too large to be a
// boundary.
func oddTimesPower(digits []byte, exp int) (odd uint64, twos int, ok bool) {
	for _, c := range digits {
		odd = odd*10 + uint64(c-'0')
	}
	tens := exp - len(digits) + 1
	twos = bits.TrailingZeros64(odd)
	odd >>= twos
	if tens > 27 || tens < -27 {
		return 0, 0, false
	}
	for range tens {
		high, low := bits.Mul64(odd, 5)
		if high != 0 {
			return 0, 0, false
		}
		odd = low
	}
	for range -tens {
		if odd%5 != 0 {
			return 0, 0, false
		}
		odd /= 5
	}
	return odd, twos + tens, true
}

func appendPlain(dst, digits []byte, exp int) []byte {
	if exp < 0 {
		dst = append(dst, "0.000"[:1-exp]...)
		return append(dst, digits...)
	}
	for i := 0; i <= exp; i++ {
		if i < len(digits) {
			dst = append(dst, digits[i])
		} else {
			dst = append(dst, '0')
		}
	}
	if len(digits) > exp+1 {
		dst = append(append(dst, '.'), digits[exp+1:]...)
	}
	return dst
}

func appendScientific(dst, digits []byte, exp int) []byte {
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	dst = append(dst, 'e')
	sign := byte('+')
	if exp < 0 {
		sign, exp = '-', -exp
	}
	dst = append(dst, sign)
	if exp < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}
