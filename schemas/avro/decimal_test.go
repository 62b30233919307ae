package avro

import (
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRandomDecimals: text and binary give the shortest two's complement of the unscaled number, as math/big has it.
func TestRandomDecimals(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 20_000 {
		p := 1 + r.IntN(maxPrecision)
		s := r.IntN(p + 1)
		unscaled := randomUnscaled(r, p)
		want := twosComplement(unscaled)
		for form, got := range map[string]func() ([]byte, error){
			"text":   func() ([]byte, error) { return decimalText(p, s)(nil, []byte(decimalString(unscaled, s))) },
			"binary": func() ([]byte, error) { return decimalBinary(p, s)(nil, decimalWire(unscaled, s)) },
		} {
			b, err := got()
			require.NoError(t, err, "seed %d: %s of scale %d, %s", seed, unscaled, s, form)
			v, rest, err := ReadBytes(b)
			require.NoError(t, err)
			require.Empty(t, rest)
			if string(want) != string(v) {
				require.Equal(t, want, v, "seed %d: %s of scale %d, %s", seed, unscaled, s, form)
			}
		}
	}
}

// randomUnscaled favours powers of two and ten and their neighbours; it has at most p digits.
func randomUnscaled(r *rand.Rand, p int) *big.Int {
	v := new(big.Int)
	switch r.IntN(3) {
	case 0:
		v.Lsh(big.NewInt(1), uint(r.IntN(253)))
	case 1:
		v.Exp(big.NewInt(10), big.NewInt(int64(r.IntN(p+1))), nil)
	case 2:
		digits := make([]byte, 1+r.IntN(p))
		for i := range digits {
			digits[i] = byte('0' + r.IntN(10)*r.IntN(2))
		}
		v.SetString(string(digits), 10)
	}
	v.Add(v, big.NewInt(int64(r.IntN(3)-1)))
	v.Rem(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil))
	if r.IntN(2) == 0 {
		v.Neg(v)
	}
	return v
}

// twosComplement follows Java's BigInteger.toByteArray.
func twosComplement(v *big.Int) []byte {
	if v.Sign() == 0 {
		return []byte{0}
	}
	size := v.BitLen()/8 + 1
	if v.Sign() < 0 {
		size = new(big.Int).Not(v).BitLen()/8 + 1
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return v.FillBytes(make([]byte, size))
}

func decimalString(v *big.Int, s int) string {
	digits := new(big.Int).Abs(v).String()
	if len(digits) <= s {
		digits = strings.Repeat("0", s-len(digits)+1) + digits
	}
	text := digits[:len(digits)-s]
	if s > 0 {
		text += "." + digits[len(digits)-s:]
	}
	if v.Sign() < 0 {
		text = "-" + text
	}
	return text
}

// decimalWire makes Postgres' binary form: groups of four digits around the point, without zero groups at either end.
func decimalWire(v *big.Int, s int) []byte {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(decimalString(v, s), "-"), ".")
	whole = strings.Repeat("0", (4-len(whole)%4)%4) + whole
	fraction += strings.Repeat("0", (4-len(fraction)%4)%4)
	weight := int16(len(whole)/4 - 1)
	var digits []uint16
	for text := whole + fraction; text != ""; text = text[4:] {
		digits = append(digits, uint16(text[0]-'0')*1000+uint16(text[1]-'0')*100+uint16(text[2]-'0')*10+uint16(text[3]-'0'))
	}
	for len(digits) > 0 && digits[0] == 0 {
		digits, weight = digits[1:], weight-1
	}
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
	}
	sign := uint16(0)
	if v.Sign() < 0 {
		sign = 0x4000
	}
	return numeric(weight, sign, uint16(s), digits...)
}

func TestDecimalForms(t *testing.T) {
	errs := map[string]error{"scale": errScale, "precision": errPrecision, "malformed": errMalformed}
	for text, want := range map[string]string{"1": "64", "1.5": "0096", ".5": "32", "1.500": "0096", "00001.5": "0096", "-0.00": "00", "1.28": "0080", "-1.28": "80", "0.127": "scale", "1000": "precision", "-999.99": "fe7961", "": "malformed", "-": "malformed", ".": "malformed", "1e2": "malformed", "1.2.3": "malformed", "+1": "malformed"} {
		b, err := decimalText(5, 2)(nil, []byte(text))
		if err != nil {
			require.ErrorIs(t, err, errs[want], text)
			continue
		}
		v, _, err := ReadBytes(b)
		require.NoError(t, err)
		require.Equal(t, want, hex.EncodeToString(v), text)
	}
}
