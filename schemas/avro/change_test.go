package avro

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// notes is a table with a toastable column: id (key), name enum, body text.
func notes(identity cdc.ReplicaIdentity) *schemas.Relation {
	return relation(identity, 1, col("id", schemas.KindInt4), col("name", schemas.KindEnum), col("body", schemas.KindText))
}

// flat is a table that is always compacted: nothing in it is toastable.
func flat(identity cdc.ReplicaIdentity) *schemas.Relation {
	return relation(identity, 1, col("id", schemas.KindInt4), col("name", schemas.KindEnum))
}

func TestInsert(t *testing.T) {
	b := newBench(t, notes(cdc.IdentityDefault), nil, nil)
	m := meta()
	m.Leaf = 4_294_967_295
	require.NoError(t, b.enc.Insert(&b.chunk, m, cdc.Tuple{text("5"), null(), text("x")}))
	require.Equal(t, "c", b.ops())
	require.Equal(t, map[string]any{"id": 5}, b.keyAt(0))
	require.Equal(t, map[string]any{
		"before": nil,
		"after": map[string]any{"clinic.public.t.Value": map[string]any{
			"id": 5, "name": nil, "body": map[string]any{"string": "x"}}},
		"source": map[string]any{
			"epoch": int64(2), "lsn": int64(0x16_B374_D000), "commit_lsn": int64(0x16_B374_D848), "ordinal": int64(7), "tx_id": int64(4_000_000_000),
			"ts_us": int64(1_700_000_000_123_456), "snapshot": false, "generation": int64(3), "controls": int64(2), "leaf": int64(4_294_967_295),
			"db": "clinic", "schema": "public", "table": "t"},
		"op": "c", "ts_us": int64(1_700_000_001_000_000), "unchanged": []any{}, "reread": []any{}, "gone": false, "inexact": map[string]any{},
	}, b.valueAt(0))
	r := b.chunk.Records[0]
	require.Equal(t, m.Position, r.Position)
	require.Equal(t, partition(b.chunk.Key(0)[frameSize:], 6), r.Partition)
	require.Same(t, b.topic, r.Topic)
	e := b.envelopeAt(0)
	require.Equal(t, *m, e.Meta)
	require.Nil(t, e.Before)
	require.False(t, e.Snapshot)
}

func TestRead(t *testing.T) {
	b := newBench(t, notes(cdc.IdentityDefault), nil, nil)
	m := meta()
	m.Position.Ordinal = 0
	require.NoError(t, b.enc.Read(&b.chunk, m, texts("5", "a", "x")))
	e := b.envelopeAt(0)
	require.Equal(t, cdc.OpRead, e.Op)
	require.True(t, e.Snapshot)
	require.Equal(t, *m, e.Meta)
	require.Equal(t, m.Position, b.chunk.Records[0].Position)
}

// TestLSNBits: LSNs of the upper half and other unsigned numbers survive Avro's signed long.
func TestLSNBits(t *testing.T) {
	b := newBench(t, notes(cdc.IdentityDefault), nil, nil)
	m := meta()
	m.LSN, m.Position.CommitLSN = 1<<63+5, 1<<64-1
	m.Position.Epoch, m.Position.Ordinal, m.XID, m.Generation, m.Controls, m.Leaf = 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1
	require.NoError(t, b.enc.Insert(&b.chunk, m, texts("5", "a", "x")))
	require.Equal(t, *m, b.envelopeAt(0).Meta)
}

// TestDelete: a delete has the key in `before`, whatever Postgres sent, as readers of Debezium's envelope want it.
func TestDelete(t *testing.T) {
	type fields = map[string]any
	for name, c := range map[string]struct {
		rel    *schemas.Relation
		kind   cdc.OldKind
		old    cdc.Tuple
		ops    string
		before fields
	}{
		"key":                {notes(cdc.IdentityDefault), cdc.OldKey, cdc.Tuple{text("5"), null(), null()}, "d", fields{"name": nil, "body": nil}},
		"full":               {notes(cdc.IdentityFull), cdc.OldFull, texts("5", "a", "x"), "dT", fields{"name": "a", "body": "x"}},
		"key, compacted":     {flat(cdc.IdentityDefault), cdc.OldKey, cdc.Tuple{text("5"), null()}, "dT", fields{"name": nil}},
		"index":              {notes(cdc.IdentityIndex), cdc.OldKey, cdc.Tuple{text("5"), null(), null()}, "d", fields{"name": nil, "body": nil}},
		"more than the key":  {notes(cdc.IdentityIndex), cdc.OldKey, texts("5", "a", "x"), "d", fields{"name": nil, "body": nil}},
		"full, in binary":    {flat(cdc.IdentityFull), cdc.OldFull, cdc.Tuple{raw(int4(5)), raw([]byte("a"))}, "dT", fields{"name": "a"}},
		"full, null in both": {flat(cdc.IdentityFull), cdc.OldFull, cdc.Tuple{text("5"), null()}, "dT", fields{"name": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.rel, nil, nil)
			require.NoError(t, b.enc.Delete(&b.chunk, meta(), c.kind, c.old))
			require.Equal(t, c.ops, b.ops())
			require.Equal(t, map[string]any{"id": 5}, b.keyAt(0))
			v := b.valueAt(0)
			require.Nil(t, v["after"])
			require.Equal(t, 5, field(v["before"], "id"))
			for column, value := range c.before {
				require.Equal(t, value, field(v["before"], column), column)
			}
			require.Equal(t, meta().Position, b.chunk.Records[0].Position)
			if len(c.ops) == 2 {
				requireTombstone(t, b, 0)
			}
		})
	}
}

// requireTombstone checks that the record after i is its tombstone.
func requireTombstone(t *testing.T, b *bench, i int) {
	t.Helper()
	d, tomb := b.chunk.Records[i], b.chunk.Records[i+1]
	require.True(t, tomb.Tombstone)
	require.Nil(t, b.chunk.Value(i+1))
	require.Equal(t, b.chunk.Key(i), b.chunk.Key(i+1))
	require.Equal(t, d.Partition, tomb.Partition)
	require.Equal(t, d.Position, tomb.Position)
	require.Equal(t, d.End, tomb.Key)
	require.Equal(t, tomb.Value, tomb.End)
}

// rereader gives a fixed answer and notes what it was asked.
type rereader struct {
	values  cdc.Tuple
	found   bool
	err     error
	row     cdc.Tuple
	columns []int
}

func (r *rereader) Reread(_ context.Context, relation, _ uint32, row cdc.Tuple, columns []int) (cdc.Tuple, bool, error) {
	if relation != 4711 {
		return nil, false, errors.New("another relation was asked for")
	}
	r.row, r.columns = append(cdc.Tuple(nil), row...), columns
	return r.values, r.found, r.err
}

func TestUpdate(t *testing.T) {
	type want struct {
		ops                       string
		body                      any
		before                    bool
		unchanged, reread, listed []int
		gone                      bool
	}
	keyTuple := cdc.Tuple{text("4"), null(), null()}
	const compacted = cdc.IdentityFull // when the generation began; it has been changed since
	for name, c := range map[string]struct {
		identity cdc.ReplicaIdentity
		kind     cdc.OldKind
		old, row cdc.Tuple
		reread   *rereader
		want     want
	}{
		"plain":                          {cdc.IdentityDefault, cdc.OldNone, nil, texts("5", "b", "y"), nil, want{ops: "u", body: "y"}},
		"full":                           {cdc.IdentityFull, cdc.OldFull, texts("5", "a", "x"), texts("5", "b", "y"), nil, want{ops: "u", body: "y", before: true}},
		"unchanged value":                {cdc.IdentityDefault, cdc.OldNone, nil, cdc.Tuple{text("5"), text("b"), unchanged()}, nil, want{ops: "u", unchanged: []int{2}}},
		"unchanged value, full":          {cdc.IdentityFull, cdc.OldFull, texts("5", "a", "x"), cdc.Tuple{text("5"), text("b"), unchanged()}, nil, want{ops: "u", body: "x", before: true}},
		"unchanged value, key unchanged": {cdc.IdentityDefault, cdc.OldKey, cdc.Tuple{text("5"), null(), null()}, cdc.Tuple{text("5"), text("b"), unchanged()}, nil, want{ops: "u", unchanged: []int{2}}},
		"key in two forms is one key":    {cdc.IdentityDefault, cdc.OldKey, cdc.Tuple{raw(int4(5)), null(), null()}, texts("5", "b", "y"), nil, want{ops: "u", body: "y"}},
		"unchanged key":                  {cdc.IdentityDefault, cdc.OldKey, cdc.Tuple{text("5"), null(), null()}, cdc.Tuple{unchanged(), text("b"), text("y")}, nil, want{ops: "u", body: "y"}},
		"key change":                     {cdc.IdentityDefault, cdc.OldKey, keyTuple, texts("5", "b", "y"), nil, want{ops: "dc", body: "y"}},
		"key change, full":               {cdc.IdentityFull, cdc.OldFull, texts("4", "a", "x"), cdc.Tuple{text("5"), text("b"), unchanged()}, nil, want{ops: "dTc", body: "x"}},
		"key change, value read again":   {cdc.IdentityDefault, cdc.OldKey, keyTuple, cdc.Tuple{text("5"), text("b"), unchanged()}, &rereader{values: texts("z"), found: true}, want{ops: "dc", body: "z", reread: []int{2}, listed: []int{2}}},
		"key change, NULL read again":    {cdc.IdentityDefault, cdc.OldKey, keyTuple, cdc.Tuple{text("5"), text("b"), unchanged()}, &rereader{values: cdc.Tuple{null()}, found: true}, want{ops: "dc", reread: []int{2}, listed: []int{2}}},
		"compacted, value read again":    {compacted, cdc.OldNone, nil, cdc.Tuple{text("5"), text("b"), unchanged()}, &rereader{values: texts("z"), found: true}, want{ops: "u", body: "z", reread: []int{2}, listed: []int{2}}},
		"compacted, row gone":            {compacted, cdc.OldNone, nil, cdc.Tuple{text("5"), text("b"), unchanged()}, &rereader{}, want{ops: "u", unchanged: []int{2}, listed: []int{2}, gone: true}},
		"key change, row gone":           {cdc.IdentityDefault, cdc.OldKey, keyTuple, cdc.Tuple{text("5"), text("b"), unchanged()}, &rereader{}, want{ops: "dc", unchanged: []int{2}, listed: []int{2}, gone: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var again cdc.Rereader
			if c.reread != nil {
				again = c.reread
			}
			b := newBench(t, notes(c.identity), nil, again)
			require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), c.kind, c.old, c.row))
			require.Equal(t, c.want.ops, b.ops())
			last := len(b.chunk.Records) - 1
			require.Equal(t, map[string]any{"id": 5}, b.keyAt(last))
			v, e := b.valueAt(last), b.envelopeAt(last)
			require.Equal(t, c.want.body, field(v["after"], "body"))
			require.Equal(t, 5, field(v["after"], "id"))
			require.Equal(t, c.want.before, v["before"] != nil)
			require.Equal(t, c.want.unchanged, e.Unchanged)
			require.Equal(t, c.want.reread, e.Reread)
			require.Equal(t, c.want.gone, e.Gone)
			require.EqualValues(t, 8, e.Meta.Position.Ordinal, "u and c take the second ordinal")
			require.Equal(t, e.Meta.Position, b.chunk.Records[last].Position)
			if c.reread != nil {
				require.Equal(t, c.want.listed, c.reread.columns)
				require.Equal(t, "5", string(c.reread.row[0].Data))
			}
			if last == 0 {
				return
			}
			require.Equal(t, map[string]any{"id": 4}, b.keyAt(0))
			require.EqualValues(t, 7, b.envelopeAt(0).Meta.Position.Ordinal)
			require.Equal(t, 4, field(b.valueAt(0)["before"], "id"))
			require.Equal(t, c.kind == cdc.OldFull, field(b.valueAt(0)["before"], "name") != nil)
			require.Empty(t, b.envelopeAt(0).Unchanged)
			if c.want.ops == "dTc" {
				requireTombstone(t, b, 0)
			}
		})
	}
}

// TestControls: a control says where it stands between the records of its chunk, and is none of them.
func TestControls(t *testing.T) {
	b := newBench(t, flat(cdc.IdentityDefault), nil, nil)
	m := meta()
	m.Leaf = 99
	require.NoError(t, b.enc.Insert(&b.chunk, m, texts("5", "a")))
	for _, kind := range []cdc.ControlKind{cdc.ControlTruncate, cdc.ControlOpen, cdc.ControlEnd} {
		b.enc.Control(&b.chunk, m, kind)
		require.Len(t, b.chunk.Records, 1)
		require.Equal(t, cdc.Control{
			Kind: kind, Topic: b.topic, Schema: "public", Table: "t", Generation: 3, Number: 2, Leaf: 99, Position: m.Position,
			XID: m.XID, CommitTime: m.CommitTime, ValueSchema: testIDs.Value, After: 1,
		}, b.chunk.Controls[len(b.chunk.Controls)-1])
	}
	b.chunk.Reset()
	require.True(t, b.chunk.Empty())
}
