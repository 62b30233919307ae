package avro

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// goldenValue is one value as a real Postgres gave it, recorded by the tests of schemas/pgtext.
type goldenValue struct {
	typ    schemas.Type
	text   string
	binary []byte
}

func goldenValues(t testing.TB) (out []goldenValue) {
	t.Helper()
	file, err := os.Open("../pgtext/testdata/values.golden")
	require.NoError(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f := strings.Split(lines.Text(), "\t")
		require.Len(t, f, 5)
		v := goldenValue{typ: schemas.Type{Name: f[2]}}
		v.typ.Kind, err = schemas.ParseKind(f[0])
		require.NoError(t, err)
		scaled := &v.typ
		if v.typ.Kind == schemas.KindArray {
			kind, err := schemas.ParseKind(f[1])
			require.NoError(t, err)
			v.typ.Elem = &schemas.Type{Kind: kind, Name: strings.TrimSuffix(f[2], "[]")}
			scaled = v.typ.Elem
		}
		if scaled.Kind == schemas.KindNumeric {
			_, err = fmt.Sscanf(scaled.Name, "numeric(%d,%d)", &scaled.Precision, &scaled.Scale)
			require.NoError(t, err)
		}
		if scaled.Name == `"char"` {
			scaled.OID, scaled.Base = charOID, charOID
		}
		v.text, err = strconv.Unquote(f[3])
		require.NoError(t, err)
		v.binary, err = hex.DecodeString(f[4])
		require.NoError(t, err)
		out = append(out, v)
	}
	return out
}

// TestGoldenValues: both forms of every value give the same bytes, and hamba reads back the value that Postgres' text
// says.
func TestGoldenValues(t *testing.T) {
	for _, v := range goldenValues(t) {
		b := newBench(t, relation(cdc.IdentityDefault, 1, col("id", schemas.KindInt4), schemas.Column{Name: "v", Type: v.typ}), nil, nil)
		for _, d := range []cdc.Datum{text(v.text), raw(v.binary)} {
			require.NoError(t, b.enc.Insert(&b.chunk, meta(), cdc.Tuple{text("1"), d}), "%s %s", v.typ.Name, v.text)
		}
		require.Equal(t, b.chunk.Value(0), b.chunk.Value(1), "%s %s: text and binary differ", v.typ.Name, v.text)
		got := b.valueAt(0)
		want, exact := expect(t, &v.typ, v.text, v.binary)
		if !exact {
			require.Nil(t, field(got["after"], "v"), "%s %s", v.typ.Name, v.text)
			require.Equal(t, map[string]any{"v": v.text}, got["inexact"])
			require.Equal(t, []InexactValue{{Column: 1, Text: []byte(v.text)}}, b.envelopeAt(0).Inexact)
			continue
		}
		require.Empty(t, got["inexact"], "%s %s", v.typ.Name, v.text)
		require.Equal(t, want, canonical(field(got["after"], "v")), "%s %s", v.typ.Name, v.text)
	}
}

// canonical makes hamba's values comparable: exact fractions and NaN as text, times as microseconds.
func canonical(v any) any {
	switch v := v.(type) {
	case *big.Rat:
		return v.RatString()
	case time.Time:
		return v.Unix()*1e6 + int64(v.Nanosecond())/1e3
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case []byte:
		return hex.EncodeToString(v)
	case int:
		return int64(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonical(branch(v[i]))
		}
		return out
	}
	return v
}

// expect says what canonical gives for a value, independently of the encoder: numbers by the standard library from the
// text, dates from the server's integers. exact is false for what Avro cannot hold.
func expect(t *testing.T, typ *schemas.Type, s string, b []byte) (want any, exact bool) {
	t.Helper()
	switch typ.Kind {
	case schemas.KindBool:
		return s == "t", true
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8:
		v, err := strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		return v, true
	case schemas.KindFloat4, schemas.KindFloat8:
		size := map[schemas.Kind]int{schemas.KindFloat4: 32, schemas.KindFloat8: 64}[typ.Kind]
		v, err := strconv.ParseFloat(s, size)
		require.NoError(t, err)
		return strconv.FormatFloat(v, 'g', -1, size), true
	case schemas.KindNumeric:
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			return nil, false
		}
		return r.RatString(), true
	case schemas.KindDate:
		return (int64(int32(binary.BigEndian.Uint32(b))) + 10957) * 86400e6, s != "infinity" && s != "-infinity"
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		v := int64(binary.BigEndian.Uint64(b))
		return v + 946684800e6, v != math.MinInt64 && v <= math.MaxInt64-946684800e6
	case schemas.KindBytea:
		return strings.TrimPrefix(s, `\x`), true
	case schemas.KindArray:
		return expectArray(t, typ.Elem, s, b)
	case schemas.KindNumericText, schemas.KindUUID, schemas.KindText, schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum:
		return s, true
	case schemas.KindInvalid, schemas.KindOther, schemas.KindYear: // have no binary form to record
	}
	require.Fail(t, "no expectation for "+typ.Kind.String())
	return nil, false
}

// expectArray walks the binary form; each element's text is pgtext's, which is compared with the server elsewhere.
func expectArray(t *testing.T, elem *schemas.Type, s string, b []byte) (any, bool) {
	t.Helper()
	out := []any{}
	if s == "{}" {
		return out, true
	}
	if strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{{") && elem.Kind != schemas.KindJSON {
		return nil, false
	}
	for r := bytes.NewReader(b[20:]); r.Len() > 0; {
		var n int32
		require.NoError(t, binary.Read(r, binary.BigEndian, &n))
		if n < 0 {
			out = append(out, nil)
			continue
		}
		value := make([]byte, n)
		_, _ = r.Read(value)
		text, err := pgtext.AppendText(nil, *elem, value)
		require.NoError(t, err)
		v, exact := expect(t, elem, string(text), value)
		if !exact {
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}

// TestGoldenKeys: both forms of a key value give the same key, different values different ones, and dates and
// timestamps are Postgres' own integers.
func TestGoldenKeys(t *testing.T) {
	seen := map[string]string{}
	for _, v := range goldenValues(t) {
		if schemas.KeyRefusal(v.typ) != "" || v.text == "NaN" {
			continue
		}
		b := newBench(t, relation(cdc.IdentityDefault, 1, schemas.Column{Name: "v", Type: v.typ}), nil, nil)
		for _, d := range []cdc.Datum{text(v.text), raw(v.binary)} {
			require.NoError(t, b.enc.Insert(&b.chunk, meta(), cdc.Tuple{d}), "%s %s", v.typ.Name, v.text)
		}
		require.Equal(t, b.chunk.Key(0), b.chunk.Key(1), "%s %s: text and binary differ", v.typ.Name, v.text)
		key := v.typ.Name + string(b.chunk.Key(0))
		other, taken := seen[key]
		require.True(t, !taken || other == v.text, "%s: %s and %s share a key", v.typ.Name, v.text, other)
		seen[key] = v.text
		got := canonical(b.keyAt(0)["v"])
		switch {
		case v.typ.Kind == schemas.KindDate:
			require.EqualValues(t, int32(binary.BigEndian.Uint32(v.binary)), got)
		case schemas.KeyInteger(v.typ):
			require.EqualValues(t, binary.BigEndian.Uint64(v.binary), uint64(got.(int64)))
		default:
			want, _ := expect(t, &v.typ, v.text, v.binary)
			require.Equal(t, want, got)
		}
	}
	require.NotEmpty(t, seen)
}
