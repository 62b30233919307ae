package pgtext

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

// TestRandomValues: for random values of every kind with an interesting form, the text made here is the server's.
func TestRandomValues(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	conn := connect(t)
	for _, g := range []struct {
		sample
		literal func(r *rand.Rand) string
	}{
		{sample{sql: "float4", kind: schemas.KindFloat4}, randomFloat4},
		{sample{sql: "float8", kind: schemas.KindFloat8}, randomFloat8},
		{sample{sql: "numeric", kind: schemas.KindNumericText}, randomNumeric},
		{sample{sql: "date", kind: schemas.KindDate}, randomDate},
		{sample{sql: "timestamp", kind: schemas.KindTimestamp}, randomTimestamp},
		{sample{sql: "timestamptz", kind: schemas.KindTimestampTZ}, randomTimestamp},
		{sample{sql: "bytea", kind: schemas.KindBytea}, func(r *rand.Rand) string { return `\x` + hex.EncodeToString([]byte(randomText(r))) }},
		{sample{sql: "text[]", kind: schemas.KindArray, elem: schemas.KindText}, randomTextArray},
	} {
		t.Run(g.sql, func(t *testing.T) {
			literals := make([]string, 20_000)
			for i := range literals {
				literals[i] = g.literal(r)
			}
			for i, v := range ask(t, conn, g.sql, literals) {
				got, err := AppendText(nil, g.typ(), v.binary)
				require.NoError(t, err)
				if v.text != string(got) {
					require.Equal(t, v.text, string(got), "seed %d, literal %s", seed, literals[i])
				}
				requireBack(t, g.typ(), v.text, v.binary)
			}
		})
	}
}

// randomFloat8 favours numbers near powers of two and ten, where shortest decimals are hard.
func randomFloat8(r *rand.Rand) string {
	var f float64
	switch r.IntN(4) {
	case 0:
		f = math.Float64frombits(r.Uint64())
	case 1:
		f = math.Ldexp(1, r.IntN(2098)-1074)
	case 2:
		f, _ = strconv.ParseFloat(fmt.Sprintf("%de%d", r.IntN(1000), r.IntN(640)-320), 64)
	case 3:
		f = math.Ldexp(float64(r.Int64N(1<<20)), r.IntN(200)-60)
	}
	for range r.IntN(3) {
		f = math.Nextafter(f, 0)
	}
	if math.IsInf(f, 0) {
		f = 1
	}
	return strconv.FormatFloat(f, 'e', 17, 64)
}

func randomFloat4(r *rand.Rand) string {
	f := math.Float32frombits(r.Uint32())
	switch r.IntN(3) {
	case 0:
		f = float32(math.Ldexp(1, r.IntN(276)-149))
	case 1:
		f = float32(math.Ldexp(float64(r.Int64N(1<<25)), r.IntN(100)-40))
	}
	if math.IsInf(float64(f), 0) {
		f = 1
	}
	return strconv.FormatFloat(float64(f), 'e', 9, 32)
}

func randomNumeric(r *rand.Rand) string {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + r.IntN(10)*r.IntN(2)) // many zeros
		}
		return string(b)
	}
	return []string{"", "-"}[r.IntN(2)] + digits(1+r.IntN(40)) + "." + digits(r.IntN(40)) + "e" + strconv.Itoa(r.IntN(60)-30)
}

func randomDate(r *rand.Rand) string {
	return string(AppendDate(nil, r.Int32N(math.MaxInt32-EpochDays-2_500_000)-2_400_000))
}

func randomTimestamp(r *rand.Rand) string {
	const low, high = -211_813_488_000_000_000, 9_223_371_331_199_999_999
	micros := low + int64(r.Uint64N(high-low))
	if r.IntN(2) == 0 {
		micros = r.Int64N(2e15) - 1e15 // around now
	}
	for range r.IntN(7) {
		micros = micros / 10 * 10
	}
	return string(AppendTimestamp(nil, min(micros, high), false))
}

func randomText(r *rand.Rand) string {
	const alphabet = "ab NULLnull{}\",\\\t\n\v'é "
	runes := []rune(alphabet)
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteRune(runes[r.IntN(len(runes))])
	}
	return b.String()
}

func randomTextArray(r *rand.Rand) string {
	elems := make([]string, r.IntN(5))
	for i := range elems {
		elems[i] = randomText(r)
	}
	return string(arrayLiteral(elems))
}
