package avro

import (
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// TestCompatibilityLevels: which changes of a table a registry takes at which level of a subject, so that the table can
// be copied again. Whatever it does not take needs NONE.
func TestCompatibilityLevels(t *testing.T) {
	id, v := col("id", schemas.KindInt4), col("v", schemas.KindInt4)
	before := relation(cdc.IdentityDefault, 1, id, v)
	for _, test := range []struct {
		name                                                 string
		after                                                *schemas.Relation
		keyBackward, keyForward, valueBackward, valueForward bool
	}{
		{"column added", relation(cdc.IdentityDefault, 1, id, v, col("w", schemas.KindText)), true, true, true, true},
		{"column dropped", relation(cdc.IdentityDefault, 1, id), true, true, true, true},
		{"column renamed", relation(cdc.IdentityDefault, 1, id, col("w", schemas.KindInt4)), true, true, true, true},
		{"type grown", relation(cdc.IdentityDefault, 1, id, col("v", schemas.KindInt8)), true, true, true, false},
		{"type changed", relation(cdc.IdentityDefault, 1, id, col("v", schemas.KindText)), true, true, false, false},
		{"key grown", relation(cdc.IdentityDefault, 1, col("id", schemas.KindInt8), v), true, false, true, false},
		{"key changed", relation(cdc.IdentityDefault, 1, col("id", schemas.KindText), v), false, false, false, false},
		{"key widened", relation(cdc.IdentityDefault, 2, id, v), false, true, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			oldKey, oldValue := evolved(t, before)
			newKey, newValue := evolved(t, test.after)
			reads := func(reader, writer avro.Schema) bool {
				return avro.NewSchemaCompatibility().Compatible(reader, writer) == nil
			}
			require.Equal(t, test.keyBackward, reads(newKey, oldKey), "key, BACKWARD")
			require.Equal(t, test.keyForward, reads(oldKey, newKey), "key, FORWARD")
			require.Equal(t, test.valueBackward, reads(newValue, oldValue), "value, BACKWARD")
			require.Equal(t, test.valueForward, reads(oldValue, newValue), "value, FORWARD")
		})
	}
}

func evolved(t *testing.T, rel *schemas.Relation) (key, value avro.Schema) {
	t.Helper()
	table, err := schemas.NewTable(rel, "clinic.public.t", policies{})
	require.NoError(t, err)
	parse := func(text string, err error) avro.Schema {
		require.NoError(t, err)
		s, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
		require.NoError(t, err)
		return s
	}
	return parse(KeySchema(table)), parse(EnvelopeSchema(table))
}
