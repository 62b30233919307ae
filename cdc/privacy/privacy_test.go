package privacy

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// rules names policies by column; a column it does not name has the policy of "*", which counts as not named.
type rules map[string]string

func (r rules) For(_, _, column string) (string, bool) {
	if policy, ok := r[column]; ok {
		return policy, true
	}
	return r["*"], false
}

func (r rules) Domain(_, _, column string) string { return column }

var testKeys = HashKeys{ID: "k1", Key: sequence(32)}

func sequence(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// testTime is in 2026: years before 1936 are capped.
var testTime = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC).UnixMicro()

func typeOf(k schemas.Kind) schemas.Type {
	return schemas.Type{Kind: k, Name: k.String(), Precision: 12, Scale: 2}
}

// one makes the transform of a column that is not in the key.
func one(t testing.TB, policy string, typ schemas.Type) schemas.Transform {
	t.Helper()
	rel := &schemas.Relation{Schema: "public", Name: "patients", Columns: []schemas.Column{{Name: "mrn", Type: typ}}}
	transform, carried, err := New(rules{"mrn": policy}, testKeys).For(rel, 0)
	require.NoError(t, err)
	require.True(t, carried)
	return transform
}

func apply(t testing.TB, transform schemas.Transform, text string) string {
	t.Helper()
	out, err := transform.Apply([]byte("before "), []byte(text), testTime)
	require.NoError(t, err)
	require.Equal(t, "before ", string(out[:7]), "Apply appends")
	return string(out[7:])
}

func TestPoliciesDecide(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "patients", Key: []int{0}, Columns: []schemas.Column{
		{Name: "id", Type: typeOf(schemas.KindInt8)}, {Name: "c", Type: typeOf(schemas.KindText)},
	}}
	for name, c := range map[string]struct {
		rules   rules
		column  int
		carried bool
		policy  string // of the transform; "" for none
		failure string
	}{
		"keep":              {rules{"c": "keep"}, 1, true, "", ""},
		"drop":              {rules{"c": "drop"}, 1, false, "", ""},
		"withheld":          {rules{"*": "drop"}, 1, false, "", ""},
		"open":              {rules{"*": "keep"}, 1, true, "", ""},
		"mask":              {rules{"c": "mask"}, 1, true, "mask", ""},
		"unknown":           {rules{"c": "blur"}, 1, false, "", `unknown policy "blur"`},
		"key kept":          {rules{"id": "keep"}, 0, true, "", ""},
		"key hashed":        {rules{"id": "hash"}, 0, true, "hash", ""},
		"key masked":        {rules{"id": "mask"}, 0, false, "", "policy mask on a key column"},
		"key dropped":       {rules{"id": "drop"}, 0, false, "", "policy drop on a key column"},
		"key withheld":      {rules{"*": "drop"}, 0, false, "", "no policy names is withheld"},
		"year does not fit": {rules{"c": "year"}, 1, false, "", "policy year needs a date"},
		"hash by default":   {rules{"*": "hash"}, 0, true, "hash", ""},
	} {
		t.Run(name, func(t *testing.T) {
			transform, carried, err := New(c.rules, testKeys).For(rel, c.column)
			if c.failure != "" {
				require.Contains(t, cdc.Explain(err).What, c.failure)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.carried, carried)
			if c.policy == "" {
				require.Nil(t, transform)
			} else {
				require.Equal(t, c.policy, transform.Policy())
			}
		})
	}
}

func TestHashedKeyNeedsAnInjectiveType(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "t", Key: []int{0}, Columns: []schemas.Column{{Name: "id", Type: typeOf(schemas.KindFloat8)}}}
	_, _, err := New(rules{"id": "hash"}, testKeys).For(rel, 0)
	require.Error(t, err, "equal values may have different encodings")
}

func TestHashNeedsAKey(t *testing.T) {
	rel := &schemas.Relation{Columns: []schemas.Column{{Name: "mrn", Type: typeOf(schemas.KindText)}}}
	_, _, err := New(rules{"mrn": "hash"}, HashKeys{}).For(rel, 0)
	require.Contains(t, cdc.Explain(err).Try[0].Command, "privacy.hash.keys")
}

// TestHashTokens compares with values made by Python's hmac module; the first also by S=$(printf domain:mrn | openssl
// dgst -sha256 -mac HMAC -macopt hexkey:0001…1f); printf 42 | openssl dgst -sha256 -mac HMAC -macopt hexkey:$S
func TestHashTokens(t *testing.T) {
	for _, c := range []struct{ domain, text, token string }{
		{"mrn", "42", "k1:852c6c917f2a65e8591d697b7ba98e4ef796f80c32eab73f48f0e13888c6430f"},
		{"ssn", "42", "k1:5bdf1b33f625cc7b6f842110a3bf38566eaa5492adefe47b35fa284e50bc3ab0"},
		{"mrn", "", "k1:d37045b4cc1a641f53ebf979ec6369de59ff2864c0fa1a71be3e640633a4fdc7"},
		{"mrn", "Zoë\n", "k1:553b7b1ac48f0b59a993f17d9bd14a407764e0fb8ae160252de54850ad431ef7"},
	} {
		h, err := hash(testKeys, c.domain)
		require.NoError(t, err)
		require.Equal(t, c.token, apply(t, h, c.text))
		require.Equal(t, c.token, apply(t, h, c.text), "a second value is independent of the first")
	}
}

func TestHashJoinsAcrossTypes(t *testing.T) {
	require.Equal(t, apply(t, one(t, "hash", typeOf(schemas.KindInt8)), "42"), apply(t, one(t, "hash", typeOf(schemas.KindText)), "42"))
	require.Equal(t, schemas.KindText, one(t, "hash", typeOf(schemas.KindInt8)).Output().Kind)
}

func TestMaskConstants(t *testing.T) {
	for kind, want := range map[schemas.Kind]string{
		schemas.KindBool: "f", schemas.KindInt2: "0", schemas.KindInt4: "0", schemas.KindInt8: "0", schemas.KindFloat4: "0",
		schemas.KindFloat8: "0", schemas.KindNumeric: "0.00", schemas.KindNumericText: "0", schemas.KindDate: "1970-01-01",
		schemas.KindTimestamp: "1970-01-01 00:00:00", schemas.KindTimestampTZ: "1970-01-01 00:00:00+00",
		schemas.KindUUID: "00000000-0000-0000-0000-000000000000", schemas.KindBytea: `\x`, schemas.KindText: "***",
		schemas.KindJSON: "{}", schemas.KindJSONB: "{}", schemas.KindEnum: "***", schemas.KindArray: "{}", schemas.KindOther: "***",
	} {
		m := one(t, "mask", typeOf(kind))
		require.Equal(t, want, apply(t, m, "secret"), kind)
		switch kind {
		case schemas.KindText, schemas.KindEnum, schemas.KindOther:
			require.Equal(t, schemas.KindText, m.Output().Kind, kind)
		default:
			require.Equal(t, kind, m.Output().Kind)
		}
	}
	_, err := mask(typeOf(schemas.KindYear))
	require.Error(t, err)
	require.Equal(t, "0", zero(0))
}

func TestZip3(t *testing.T) {
	z := one(t, "zip3", typeOf(schemas.KindText))
	for in, want := range map[string]string{
		"02139": "021", "02139-4307": "021", "02139     ": "021", "00601": "006", "99950": "999",
		"03601": "000", "06390": "000", "36900": "000", "20500": "000", "89399-0001": "000", // restricted in one census or both
		"": "000", "2139": "000", "021394307": "000", "02139-430": "000", "0213a": "000", "K1A 0B1": "000", " 02139": "000",
		"０２１３９": "000", "02139x4307": "000",
	} {
		require.Equal(t, want, apply(t, z, in), "%q", in)
	}
	for _, kind := range []schemas.Kind{schemas.KindDate, schemas.KindInt4, schemas.KindEnum} {
		_, err := zip3(typeOf(kind))
		require.Error(t, err, kind)
	}
}

// TestOnlyPopulatedAreasAreOpen: an area is named only if every census found it large enough; one in which nobody lives
// (military mail, a single company, digits that are not in use) is as small as any.
func TestOnlyPopulatedAreasAreOpen(t *testing.T) {
	count := 0
	for _, is := range open {
		if is {
			count++
		}
	}
	require.Equal(t, 871, count)
	small := "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893 " + // of 2000
		"036 059 102 202 203 204 205 369 556 692 753 772 821 823 878 879 884 893 " + // of 2010, and of 2020
		"000 001 005 055 090 098 192 213 340 375 555 733 885 889 901 962 966 969" // nobody is counted there
	z := one(t, "zip3", typeOf(schemas.KindText))
	for area := range strings.FieldsSeq(small) {
		require.Equal(t, "000", apply(t, z, area+"01"), area)
	}
}

func TestYear(t *testing.T) {
	for _, kind := range []schemas.Kind{schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ} {
		y := one(t, "year", typeOf(kind))
		require.Equal(t, schemas.KindYear, y.Output().Kind)
		for in, want := range map[string]string{
			"1961-04-12": "1961", "1937-12-31": "1937", "1936-01-01": "1936", "1935-12-31": "1936", "0001-01-01": "1936", "0044-03-15 BC": "1936",
			"2020-02-29 23:59:59.999999+00": "2020", "5874897-12-31": "5874897", "294276-12-31 23:59:59.999999": "294276", "infinity": "infinity", "-infinity": "-infinity",
		} {
			require.Equal(t, want, apply(t, y, in), in)
		}
		for _, bad := range []string{"", "-", "12-04-1961", "1961", "1961-", "April 12", "19x1-04-12", "12345678-01-01"} {
			_, err := y.Apply(nil, []byte(bad), testTime)
			require.ErrorIs(t, err, errDate, bad)
		}
	}
	for _, kind := range []schemas.Kind{schemas.KindText, schemas.KindInt4, schemas.KindArray} {
		_, err := year(typeOf(kind))
		require.Error(t, err, kind)
	}
}

// TestYearIsCappedByTheRecordsTime: nobody over 89 can be told by a year that leaves (rule 29). Years before our era
// are below any cap.
func TestYearIsCappedByTheRecordsTime(t *testing.T) {
	y := one(t, "year", typeOf(schemas.KindDate))
	for _, c := range []struct{ text, at, want string }{
		{"1900-06-01", "2025-12-31T23:59:59.999999Z", "1935"},
		{"1935-12-31", "2026-01-01T00:00:00Z", "1936"},
		{"1935-12-31", "2025-12-31T23:59:59.999999Z", "1935"},
		{"1935-12-31", "2026-01-01T00:30:00+01:00", "1935"}, // UTC decides
		{"0044-03-15 BC", "2026-01-01T00:00:00Z", "1936"},
		{"2199-01-01", "2026-01-01T00:00:00Z", "2199"},
		{"infinity", "2026-01-01T00:00:00Z", "infinity"},
	} {
		at, err := time.Parse(time.RFC3339Nano, c.at)
		require.NoError(t, err)
		out, err := y.Apply(nil, []byte(c.text), at.UnixMicro())
		require.NoError(t, err)
		require.Equal(t, c.want, string(out), "%s at %s", c.text, c.at)
	}
	require.NotEqual(t, "year", y.Print(), "topics from before the cap are another policy's")
}

func TestPrintTellsPoliciesApartAndNoKey(t *testing.T) {
	other := HashKeys{ID: "k1", Key: sequence(33)}
	a, err := hash(testKeys, "mrn")
	require.NoError(t, err)
	b, err := hash(other, "mrn")
	require.NoError(t, err)
	c, err := hash(testKeys, "ssn")
	require.NoError(t, err)
	prints := []string{a.Print(), b.Print(), c.Print(), one(t, "zip3", typeOf(schemas.KindText)).Print(), one(t, "year", typeOf(schemas.KindDate)).Print(), one(t, "mask", typeOf(schemas.KindText)).Print()}
	seen := map[string]bool{}
	for _, p := range prints {
		require.False(t, seen[p], p)
		seen[p] = true
	}
	require.Regexp(t, `^hash k1 [0-9a-f]{16} "mrn"$`, a.Print())
	again, err := hash(testKeys, "mrn")
	require.NoError(t, err)
	require.Equal(t, a.Print(), again.Print())
}

func TestApplyAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 256)
	for policy, c := range map[string]struct {
		kind schemas.Kind
		text string
	}{
		"mask": {schemas.KindText, "Ada"}, "hash": {schemas.KindText, "MRN-000042"},
		"zip3": {schemas.KindText, "02139-4307"}, "year": {schemas.KindDate, "1961-04-12"},
	} {
		transform, text := one(t, policy, typeOf(c.kind)), []byte(c.text)
		apply(t, transform, c.text) // hmac keeps its states at the first Reset
		apply(t, transform, c.text)
		require.Zero(t, testing.AllocsPerRun(100, func() { dst, _ = transform.Apply(dst[:0], text, testTime) }), policy)
	}
}

// FuzzApply holds three properties: a token has a fixed form, a ZIP is three digits of an open area, and a year is a
// number or an infinity, for any value.
func FuzzApply(f *testing.F) {
	for _, seed := range []string{"", "02139", "03601-0000", "1961-04-12", "0044-03-15 BC", "infinity", "\x00", "99999-"} {
		f.Add([]byte(seed))
	}
	hashed, zip, dated := one(f, "hash", typeOf(schemas.KindText)), one(f, "zip3", typeOf(schemas.KindText)), one(f, "year", typeOf(schemas.KindDate))
	f.Fuzz(func(t *testing.T, text []byte) {
		require.Regexp(t, `^k1:[0-9a-f]{64}$`, apply(t, hashed, string(text)))
		area := apply(t, zip, string(text))
		require.Regexp(t, `^[0-9]{3}$`, area)
		require.True(t, area == "000" || open[number([]byte(area))])
		if out, err := dated.Apply(nil, text, testTime); err == nil {
			require.Regexp(t, `^(-?[0-9]{1,6}|-?infinity)$`, string(out))
		}
	})
}
