package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

func TestFieldsAreTakenApart(t *testing.T) {
	key := appendField(appendField(appendField(nil, []byte("a:b")), nil), []byte("2:x"))
	key = appendField(append(key, '!'), []byte("infinity"))
	got, err := fields(string(key))
	require.NoError(t, err)
	require.Equal(t, []field{{value: "a:b"}, {value: ""}, {value: "2:x", exact: "infinity"}}, got)
	for n := 1; n < len(key); n++ {
		got, err := fields(string(key[:n]))
		require.True(t, err != nil || len(got) > 0, "a cut key is an error or shorter")
	}
	for _, bad := range []string{"x", "5:abc", "-1:", "!1:a", ":", "N"} {
		_, err := fields(bad)
		require.ErrorIs(t, err, errForm, bad)
	}
}

// TestKindsAreExhaustive: every kind of the type table can be compared, also in a key if it may be in one.
func TestKindsAreExhaustive(t *testing.T) {
	require.Len(t, kinds, len(schemas.TypeTable))
	for _, row := range schemas.TypeTable {
		require.Contains(t, kinds, row.Kind)
		require.Equal(t, row.Key, kinds[row.Kind].key != "", row.Kind)
	}
}

func TestMalformedTextsAreErrors(t *testing.T) {
	for kind, texts := range map[schemas.Kind][]string{
		schemas.KindBool: {"", "true"}, schemas.KindFloat4: {"", "x"}, schemas.KindFloat8: {"1e999", ""}, schemas.KindDate: {"", "x"},
		schemas.KindTimestamp: {"", "2024-01-01"}, schemas.KindBytea: {"", "00"},
	} {
		for _, text := range texts {
			_, _, err := canonicalOf(&schemas.Type{Kind: kind})(nil, []byte(text))
			require.ErrorIs(t, err, errForm, "%s %q", kind, text)
		}
	}
	array := canonicalOf(&schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindText}})
	for _, text := range []string{"", "x", "{", "{a", "{a,", `{"a`, `{"a\`, "{a}b", `{"a"b}`, "}"} {
		_, _, err := array(nil, []byte(text))
		require.ErrorIs(t, err, errForm, "%q", text)
	}
}

// FuzzArray holds that any text is an error or an array, that elements never blur, and that no input panics.
func FuzzArray(f *testing.F) {
	for _, seed := range []string{"{}", "{1,NULL}", `{"a,b","\""}`, "[0:1]={1,2}", "{{1}}", "{", `{"`} {
		f.Add([]byte(seed))
	}
	array := canonicalOf(&schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindText}})
	f.Fuzz(func(t *testing.T, text []byte) {
		out, _, err := array(nil, text)
		if err == nil {
			require.Contains(t, string(out), ";")
		}
	})
}
