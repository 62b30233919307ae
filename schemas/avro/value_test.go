package avro

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

// TestMalformedValues: what does not have its type's form is refused in either form, by an error without the value.
func TestMalformedValues(t *testing.T) {
	texts := map[schemas.Kind][]string{
		schemas.KindBool:        {"", "true", "x"},
		schemas.KindInt2:        {"", "-", "32768", "-32769", "1.0", "+1", "12345678901234567890"},
		schemas.KindInt4:        {"2147483648", "-2147483649", " 1"},
		schemas.KindInt8:        {"9223372036854775808", "-9223372036854775809", "99999999999999999999"},
		schemas.KindYear:        {"", "two", "2147483648"},
		schemas.KindFloat4:      {"", "x", "1e39"},
		schemas.KindFloat8:      {"", "1,5", "1e309"},
		schemas.KindDate:        {"", "yesterday", "2024-1-1", "5890000-01-01"},
		schemas.KindTimestamp:   {"", "2024-01-01", "now"},
		schemas.KindTimestampTZ: {"", "2024-01-01 00:00:00 UTC"},
		schemas.KindUUID:        {"", "a0eebc99"},
		schemas.KindBytea:       {"", "abc", `\x0`, `\x0g`, "ab"},
		schemas.KindArray:       {"", "{", "}", "1,2", "{1", "{1,}", "{,1}", `{"1}`, `{"1"2}`, `{"1\`, `{1"2}`, "{1{}", `{a}`, `{"\"}`, `{"1\}`},
	}
	for kind, values := range texts {
		typ := schemas.Type{Kind: kind}
		if kind == schemas.KindArray {
			typ.Elem = &schemas.Type{Kind: schemas.KindInt4}
		}
		for _, v := range values {
			_, err := formOf(&typ).text(nil, []byte(v))
			require.Error(t, err, "%s %q", kind, v)
			require.False(t, errors.Is(err, errInexact), "%s %q", kind, v)
			if len(v) > 4 {
				require.NotContains(t, err.Error(), v)
			}
		}
	}
	for _, row := range schemas.TypeTable {
		typ := schemas.Type{Kind: row.Kind, Elem: &schemas.Type{Kind: schemas.KindInt4}, Precision: 5}
		for _, v := range [][]byte{{}, {1, 2, 3}, make([]byte, 7)} {
			f := formOf(&typ)
			_, err := f.fromBinary(nil, v)
			anyBytes := row.Kind == schemas.KindText || row.Kind == schemas.KindBytea || row.Kind == schemas.KindEnum || row.Kind == schemas.KindJSON
			jsonb := row.Kind == schemas.KindJSONB && len(v) > 0 && v[0] == 1
			require.Equal(t, anyBytes || jsonb, err == nil, "%s %x: %v", row.Kind, v, err)
			if !row.Binary || row.Kind == schemas.KindYear {
				require.ErrorIs(t, err, errNoBinary)
			}
		}
	}
	require.Panics(t, func() { formOf(&schemas.Type{}) })
	require.Panics(t, func() { Skipper(schemas.Type{}, false) })
}

// TestOtherOutputs covers what Postgres may say in other words: bounds at 1, a zone that is not UTC.
func TestOtherOutputs(t *testing.T) {
	same := func(kind schemas.Kind, a, b string) {
		typ := schemas.Type{Kind: kind, Elem: &schemas.Type{Kind: schemas.KindInt4}}
		x, err := formOf(&typ).text(nil, []byte(a))
		require.NoError(t, err)
		y, err := formOf(&typ).text(nil, []byte(b))
		require.NoError(t, err)
		require.Equal(t, x, y, "%s and %s", a, b)
	}
	same(schemas.KindTimestampTZ, "2024-07-01 12:00:00+05:30", "2024-07-01 06:30:00+00")
	same(schemas.KindArray, `{"1",2}`, "{1,2}")
	same(schemas.KindFloat8, "1e+20", "100000000000000000000")
	same(schemas.KindBytea, `\xAB`, `\xab`)
}
