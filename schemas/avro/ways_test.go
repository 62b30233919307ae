package avro

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestWayOutOfADeleteWithoutARowIsTaken: with a replica identity the deletes of the table have their old row, or its
// key.
func TestWayOutOfADeleteWithoutARowIsTaken(t *testing.T) {
	b := newBench(t, notes(cdc.IdentityDefault), nil, nil)
	err := b.enc.Delete(&b.chunk, meta(), cdc.OldNone, nil)
	require.Equal(t, []cdc.Remedy{{Command: "check the table's REPLICA IDENTITY"}}, cdc.Explain(err).Try)
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldKey, cdc.Tuple{text("5"), null(), null()}))
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldFull, texts("5", "b", "x")))
}
