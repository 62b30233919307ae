package privacy

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// TestWaysOutOfPoliciesAreTaken: the policies that an error names are accepted in place of the one that it refuses.
func TestWaysOutOfPoliciesAreTaken(t *testing.T) {
	names := regexp.MustCompile(`keep|drop|mask|hash|zip3|year`)
	for _, c := range []struct {
		policy string
		kind   schemas.Kind
		key    bool
		says   string
	}{
		{"secret", schemas.KindText, false, "keep, drop, mask, hash or zip3"},
		{"secret", schemas.KindDate, false, "keep, drop, mask, hash or year"},
		{"secret", schemas.KindInt4, false, "keep, drop, mask or hash"},
		{"secret", schemas.KindInt4, true, "keep or hash"},
		{"mask", schemas.KindYear, false, "drop"},
		{"year", schemas.KindText, false, "drop or mask"},
		{"zip3", schemas.KindInt4, false, "drop or mask"},
		{"mask", schemas.KindText, true, "keep or hash"},
		{"year", schemas.KindDate, true, "keep or hash"},
		{"", schemas.KindText, true, "name it keep or hash under privacy.columns"},
	} {
		rel := &schemas.Relation{Schema: "public", Name: "patients", Columns: []schemas.Column{{Name: "mrn", Type: typeOf(c.kind)}}}
		if c.key {
			rel.Key = []int{0}
		}
		section := rules{"mrn": c.policy}
		if c.policy == "" {
			section = rules{"*": "drop"}
		}
		_, _, err := New(section, testKeys).For(rel, 0)
		require.Error(t, err)
		ways := cdc.Explain(err).Try
		require.Equal(t, []cdc.Remedy{{Command: c.says}}, ways)
		policies := names.FindAllString(ways[0].Command, -1)
		require.NotEmpty(t, policies)
		for _, policy := range policies {
			_, _, err := New(rules{"mrn": policy}, testKeys).For(rel, 0)
			require.NoError(t, err, "%s in place of %q of %s", policy, c.policy, c.kind)
		}
	}
}

// TestWaysOutOfAKeyThatHashesAlikeAreTaken: values of numeric that are equal may be written apart, so they are no key
// once they are hashed; a key of another type is, and a table that is left out has no policies to apply.
func TestWaysOutOfAKeyThatHashesAlikeAreTaken(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "patients", Key: []int{0}, Columns: []schemas.Column{{Name: "mrn", Type: typeOf(schemas.KindNumericText)}}}
	_, _, err := New(rules{"mrn": "hash"}, testKeys).For(rel, 0)
	require.Equal(t, []cdc.Remedy{{Command: `add "!public.patients" to source.tables`}, {Command: "give the column a type that can be a key"}}, cdc.Explain(err).Try)
	for _, kind := range []schemas.Kind{schemas.KindInt8, schemas.KindText, schemas.KindUUID} {
		rel.Columns[0].Type = typeOf(kind)
		_, _, err := New(rules{"mrn": "hash"}, testKeys).For(rel, 0)
		require.NoError(t, err)
	}
}

// TestWayOutOfHashWithoutAKeyIsTaken sets the key that the error asks for.
func TestWayOutOfHashWithoutAKeyIsTaken(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "patients", Columns: []schemas.Column{{Name: "mrn", Type: typeOf(schemas.KindText)}}}
	_, _, err := New(rules{"mrn": "hash"}, HashKeys{}).For(rel, 0)
	require.Equal(t, []cdc.Remedy{{Command: "set privacy.hash.keys"}}, cdc.Explain(err).Try)
	_, _, err = New(rules{"mrn": "hash"}, testKeys).For(rel, 0)
	require.NoError(t, err)
}
