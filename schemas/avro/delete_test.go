package avro

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// TestDeletedDates: the key columns of a delete's before-image have the column's own form, not the key's integers, and
// what that form cannot hold is in `inexact`. So it is in the first half of a key change, too.
func TestDeletedDates(t *testing.T) {
	const days = 8766 // from 2000-01-01 to 2024-01-01, as Postgres counts
	rel := func() *schemas.Relation {
		return relation(cdc.IdentityDefault, 3, col("id", schemas.KindInt4), col("day", schemas.KindDate), col("at", schemas.KindTimestampTZ),
			col("name", schemas.KindText))
	}
	b := newBench(t, rel(), nil, nil)
	text5 := cdc.Tuple{text("5"), text("2024-01-01"), text("-infinity"), null()}
	binary5 := cdc.Tuple{raw(int4(5)), raw(int4(days)), raw(int8(-1 << 63)), null()}
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldKey, text5))
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldKey, binary5))
	require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), cdc.OldKey, text5, texts("6", "infinity", "2024-01-01 00:00:00+00", "a")))
	require.Equal(t, "dddc", b.ops())
	for i := range 3 {
		v := b.valueAt(i)
		require.Equal(t, 5, field(v["before"], "id"))
		require.Equal(t, "2024-01-01", field(v["before"], "day").(interface{ Format(string) string }).Format("2006-01-02"))
		require.Nil(t, field(v["before"], "at"))
		require.Equal(t, map[string]any{"at": "-infinity"}, v["inexact"])
		require.Equal(t, map[string]any{"id": 5, "day": days, "at": int64(-1 << 63)}, b.keyAt(i))
		require.Equal(t, []InexactValue{{2, []byte("-infinity")}}, b.envelopeAt(i).Inexact)
	}
	require.Equal(t, map[string]any{"day": "infinity"}, b.valueAt(3)["inexact"], "nothing of the delete is left")
}

// TestDeletedHash: a key column under a policy has the policy's value in the before-image.
func TestDeletedHash(t *testing.T) {
	rel := relation(cdc.IdentityDefault, 1, col("id", schemas.KindInt4), col("name", schemas.KindText))
	b := newBench(t, rel, policies{"id": upper{}}, nil)
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldKey, cdc.Tuple{raw(int4(5)), null()}))
	require.Equal(t, "K:5", field(b.valueAt(0)["before"], "id"))
	require.Equal(t, map[string]any{"id": "K:5"}, b.keyAt(0))
}

// TestTombstones: they follow every delete of a topic that has them, and a compacted topic cannot do without.
func TestTombstones(t *testing.T) {
	rel := notes(cdc.IdentityDefault)
	b := newBench(t, rel, nil, nil)
	topic := &cdc.Topic{Name: b.topic.Name, Partitions: 6, Tombstones: true}
	enc, err := NewEncoder(rel, b.table, topic, testIDs, nil)
	require.NoError(t, err)
	b.enc = rows{enc}
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldKey, cdc.Tuple{text("4"), null(), null()}))
	require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), cdc.OldKey, cdc.Tuple{text("4"), null(), null()}, texts("5", "b", "y")))
	require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), cdc.OldNone, nil, texts("5", "c", "y")))
	require.Equal(t, "dTdTcu", b.ops())
	requireTombstone(t, b, 0)
	requireTombstone(t, b, 2)

	full := notes(cdc.IdentityFull)
	table, err := schemas.NewTable(full, topic.Name, policies(nil))
	require.NoError(t, err)
	require.True(t, table.Compacted)
	_, err = NewEncoder(full, table, &cdc.Topic{Name: topic.Name, Partitions: 6, Compacted: true}, testIDs, nil)
	require.Error(t, err)
}
