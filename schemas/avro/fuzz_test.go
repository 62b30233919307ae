package avro

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// FuzzValue: whatever bytes come as a value, in text or binary form, as a column or a key, nothing panics, a refused
// row leaves the chunk as it was, and a taken one is read back by the reader and by hamba's skipping rules.
func FuzzValue(f *testing.F) {
	golden := goldenValues(f)
	for i, v := range golden {
		f.Add(uint16(i), true, []byte(v.text))
		f.Add(uint16(i), false, v.binary)
	}
	type pair struct{ column, key *bench }
	benches := map[string]pair{}
	f.Fuzz(func(t *testing.T, at uint16, asText bool, data []byte) {
		typ := golden[int(at)%len(golden)].typ
		p, ok := benches[typ.Name]
		if !ok {
			p.column = newBench(t, relation(cdc.IdentityDefault, 1, col("id", schemas.KindInt4), schemas.Column{Name: "v", Type: typ}), nil, nil)
			if schemas.KeyRefusal(typ) == "" {
				p.key = newBench(t, relation(cdc.IdentityDefault, 1, schemas.Column{Name: "v", Type: typ}), nil, nil)
			}
			benches[typ.Name] = p
		}
		d := cdc.Datum{Kind: cdc.DatumBinary, Data: data}
		if asText {
			d.Kind = cdc.DatumText
		}
		try(t, p.column, cdc.Tuple{text("1"), d})
		if p.key != nil {
			try(t, p.key, cdc.Tuple{d})
		}
	})
}

// try inserts one row.
func try(t *testing.T, b *bench, row cdc.Tuple) {
	b.t = t
	b.chunk.Reset()
	if err := b.enc.Insert(&b.chunk, meta(), row); err != nil {
		require.Empty(t, b.chunk.Bytes)
		require.Empty(t, b.chunk.Records)
		return
	}
	require.Len(t, b.chunk.Records, 1)
	b.envelopeAt(0)
	if _, err := pgtext.AppendText(nil, b.table.Columns[len(row)-1].Type, row[len(row)-1].Data); row[len(row)-1].Kind == cdc.DatumBinary {
		require.NoError(t, err, "the encoder takes what has no text")
	}
}

// FuzzParseTable: whatever text comes as a value schema, nothing panics, and a table that is read from it can be
// written and read again.
func FuzzParseTable(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ParseTable(text)
		if err != nil {
			require.Nil(t, table)
			return
		}
		_, err = NewReader(table)
		require.NoError(t, err)
		_, err = KeySchema(table)
		require.NoError(t, err)
		again, err := EnvelopeSchema(table)
		require.NoError(t, err)
		same, err := ParseTable(again)
		require.NoError(t, err)
		require.Equal(t, table, same)
	})
}

// FuzzReader: whatever payload comes, nothing panics or runs away.
func FuzzReader(f *testing.F) {
	b := kindsBench(f)
	for i := range b.chunk.Records {
		if !b.chunk.Records[i].Tombstone {
			_, payload, err := SplitFrame(b.chunk.Value(i))
			require.NoError(f, err)
			f.Add(payload)
		}
	}
	var e Envelope
	f.Fuzz(func(t *testing.T, payload []byte) {
		_ = b.reader.Envelope(payload, &e, nil)
		_, _, _ = SplitFrame(payload)
	})
}
