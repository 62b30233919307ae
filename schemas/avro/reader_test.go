package avro

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// kindsBench has a column of every kind, in both nullabilities where there are two, and records of every op.
func kindsBench(t testing.TB) *bench {
	rel := relation(cdc.IdentityFull, 4, col("id", schemas.KindInt4), col("day", schemas.KindDate), col("uid", schemas.KindUUID), col("amount", schemas.KindNumeric, decimal(30, 2)),
		col("flag", schemas.KindBool), col("f4", schemas.KindFloat4), col("f8", schemas.KindFloat8), col("ts", schemas.KindTimestampTZ),
		col("bin", schemas.KindBytea), col("txt", schemas.KindText), col("arr", schemas.KindArray, of(schemas.Type{Kind: schemas.KindText})), col("other", schemas.KindOther))
	b := newBench(t, rel, nil, nil)
	m, ctx := meta(), context.Background()
	row := texts("1", "infinity", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "123456789012345678901234.50", "t", "1.5", "-2.5", "2024-01-01 00:00:00+00",
		`\x00ff`, "text", `{a,NULL,"b c"}`, "(1,2)")
	other := append(cdc.Tuple{text("2")}, row[1:]...)
	nulls := append(append(cdc.Tuple{}, row[:4]...), null(), null(), null(), null(), null(), null(), null(), null())
	require.NoError(t, b.enc.Insert(&b.chunk, m, row))
	require.NoError(t, b.enc.Read(&b.chunk, m, nulls))
	require.NoError(t, b.enc.Update(ctx, &b.chunk, m, cdc.OldFull, row, nulls))
	require.NoError(t, b.enc.Update(ctx, &b.chunk, m, cdc.OldFull, row, other))
	return b
}

// TestReaderAgreesWithHamba: Before and After are the Value record's bytes, cut exactly.
func TestReaderAgreesWithHamba(t *testing.T) {
	b := kindsBench(t)
	for i := range b.chunk.Records {
		if b.chunk.Records[i].Tombstone {
			continue
		}
		v, e := b.valueAt(i), b.envelopeAt(i)
		require.Equal(t, v["before"] == nil, e.Before == nil)
		require.Equal(t, v["after"] == nil, e.After == nil)
		require.Equal(t, v["op"], string(e.Op))
		for image, row := range map[string][]byte{"before": e.Before, "after": e.After} {
			if row != nil {
				requireFields(t, b, row, v[image])
			}
		}
	}
}

// requireFields skips through a Value record and compares some fields with hamba's.
func requireFields(t *testing.T, b *bench, row []byte, want any) {
	t.Helper()
	var err error
	for i := range b.table.Columns {
		c := &b.table.Columns[i]
		at := row
		row, err = Skipper(c.Type, Nullable(c))(row)
		require.NoError(t, err)
		switch v := field(want, c.Field).(type) {
		case string:
			got, _, err := ReadBytes(at[1:])
			if !Nullable(c) {
				got, _, err = ReadBytes(at)
			}
			require.NoError(t, err)
			require.Equal(t, v, string(got))
		case float32:
			got, _, err := ReadFloat(at[1:])
			require.NoError(t, err)
			require.Equal(t, v, got)
		case float64:
			got, _, err := ReadDouble(at[1:])
			require.NoError(t, err)
			require.Equal(t, v, got)
		case bool:
			got, _, err := ReadBool(at[1:])
			require.NoError(t, err)
			require.Equal(t, v, got)
		case nil:
			require.EqualValues(t, branchNull, at[0])
		}
	}
	require.Empty(t, row)
}

// TestShortEnvelopes: every truncated prefix of a payload is an error, and so is a byte too many.
func TestShortEnvelopes(t *testing.T) {
	b := kindsBench(t)
	var e Envelope
	for i := range b.chunk.Records {
		if b.chunk.Records[i].Tombstone {
			continue
		}
		_, payload, err := SplitFrame(b.chunk.Value(i))
		require.NoError(t, err)
		for n := range payload {
			require.Error(t, b.reader.Envelope(payload[:n:n], &e, nil), "%d of %d bytes", n, len(payload))
		}
		require.Error(t, b.reader.Envelope(append(payload[:len(payload):len(payload)], 0), &e, nil), "a byte is left over")
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	b := newBench(t, relation(cdc.IdentityFull, 1, col("day", schemas.KindDate), col("txt", schemas.KindText)), nil, nil)
	require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), cdc.OldFull, texts("infinity", "a"), texts("infinity", "b")))
	_, payload, err := SplitFrame(b.chunk.Value(0))
	require.NoError(t, err)
	var e Envelope
	require.NoError(t, b.reader.Envelope(payload, &e, nil))
	require.Len(t, e.Inexact, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := b.reader.Envelope(payload, &e, nil); err != nil {
			t.Error(err)
		}
	}))
}

func TestFrame(t *testing.T) {
	for _, id := range []int{1, 255, 70_000, 1<<31 - 1} {
		got, payload, err := SplitFrame(append(AppendFrame([]byte{}, id), 9))
		require.NoError(t, err)
		require.Equal(t, id, got)
		require.Equal(t, []byte{9}, payload)
	}
	for _, b := range [][]byte{nil, {0, 0, 0, 0}, {1, 0, 0, 0, 1}, []byte("{\"json\":1}")} {
		_, _, err := SplitFrame(b)
		require.Error(t, err, "it has no schema id")
	}
}

// TestBlocks: arrays of other writers may come in several blocks, and in blocks with their size.
func TestBlocks(t *testing.T) {
	skip := Skipper(schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindInt4}}, false)
	rest, err := skip([]byte{2, 2, 8, 3, 6, 0, 2, 10, 0, 77}) // [4], then [null, 5] with its size of 3 bytes, then the end
	require.NoError(t, err)
	require.Equal(t, []byte{77}, rest)
	for _, b := range [][]byte{{}, {2}, {2, 2}, {254, 255, 255, 255, 15}, {1}, {255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, {2, 4, 0}} {
		_, err := skip(b)
		require.Error(t, err, b)
	}
}

func BenchmarkReader(b *testing.B) {
	x := newBench(b, claims(cdc.IdentityDefault), nil, nil)
	require.NoError(b, x.enc.Insert(&x.chunk, meta(), claimText()))
	_, payload, err := SplitFrame(x.chunk.Value(0))
	require.NoError(b, err)
	var e Envelope
	b.ReportAllocs()
	for b.Loop() {
		if err := x.reader.Envelope(payload, &e, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
