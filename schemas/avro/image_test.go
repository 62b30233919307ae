package avro

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// TestSealedLaterIsEncodedAtOnce: for random changes of rows with every kind of column, under policies, with whole,
// keyed and no old rows and with values left out, sealing images later, in any company, gives exactly the records that
// encoding at once gives; and what one way refuses the other refuses, too.
func TestSealedLaterIsEncodedAtOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := &randomRows{Rand: rand.New(rand.NewPCG(seed, 0)), golden: goldenValues(t)}
	refused := 0
	for range 300 {
		rel := r.relation()
		policies := policies{"p": upper{}}
		once, later, other := newBench(t, rel, policies, r), newBench(t, rel, policies, r), newBench(t, rel, policies, r)
		var images []byte
		var cuts []int
		var changes []cdc.RowChange
		for range 20 {
			ch := r.change(rel)
			was := len(images)
			var err error
			images, err = later.enc.Image(t.Context(), images, ch)
			require.Equal(t, err == nil, once.enc.Append(t.Context(), &once.chunk, metaAt(len(changes)), ch) == nil)
			if err != nil {
				refused++
				require.Len(t, images, was)
				continue
			}
			changes, cuts = append(changes, ch), append(cuts, len(images))
		}
		stored, start := slices.Clone(images), 0
		clear(images) // what Image gave does not point into anything
		for i, end := range cuts {
			_ = other.enc.Append(t.Context(), &other.chunk, metaAt(i), changes[i]) // the encoder that seals does not remember
			require.NoError(t, other.enc.Seal(&later.chunk, metaAt(i), stored[start:end]))
			start = end
		}
		for i := range later.chunk.Records { // the topics are equal and not the same
			require.Equal(t, *once.chunk.Records[i].Topic, *later.chunk.Records[i].Topic)
			later.chunk.Records[i].Topic = once.chunk.Records[i].Topic
		}
		require.Equal(t, once.chunk.Records, later.chunk.Records)
		require.True(t, bytes.Equal(once.chunk.Bytes, later.chunk.Bytes))
	}
	require.Less(t, refused, 300*20/2, "most changes can be carried")
}

// TestDamagedImages: every cut of an image is an error, and the chunk stays as it was.
func TestDamagedImages(t *testing.T) {
	b := newBench(t, notes(cdc.IdentityFull), nil, nil)
	row := texts("1", "a", "x")
	require.NoError(t, b.enc.Insert(&b.chunk, meta(), row))
	was := len(b.chunk.Bytes)
	image, err := b.enc.Image(t.Context(), nil, cdc.RowChange{Op: cdc.OpUpdate, OldKind: cdc.OldFull, Old: texts("2", "a", "x"), New: row})
	require.NoError(t, err)
	for n := 1; n < len(image); n++ {
		if _, rest, err := cutImage(image[:n]); err == nil && len(rest) == 0 {
			continue // the first of the two images
		}
		require.ErrorIs(t, b.enc.Seal(&b.chunk, meta(), image[:n]), errImage)
		require.Len(t, b.chunk.Records, 1)
		require.Len(t, b.chunk.Bytes, was)
	}
	_, err = b.enc.Image(t.Context(), nil, cdc.RowChange{Op: 't'})
	require.Error(t, err)
}

func metaAt(i int) *cdc.Meta {
	m := meta()
	m.Position.Ordinal, m.Position.CommitLSN, m.Now = uint32(2*i+1), cdc.LSN(1000+i), int64(i)
	return m
}

// randomRows makes relations and changes from the golden values. It is also the table that is read again: a value is
// there, or the row is gone, by the first byte of the key.
type randomRows struct {
	*rand.Rand
	golden []goldenValue
	// values of each column of the relation made last.
	values [][]goldenValue
}

func (r *randomRows) Reread(_ context.Context, _, _ uint32, row cdc.Tuple, columns []int) (cdc.Tuple, bool, error) {
	out := make(cdc.Tuple, len(columns))
	for i, at := range columns {
		out[i] = text(r.values[at][0].text)
	}
	return out, row[0].Data[0]%2 == 0, nil
}

// relation has a key of one or two columns, a text with the policy upper, and others.
func (r *randomRows) relation() *schemas.Relation {
	columns := []schemas.Column{col("id", schemas.KindInt4), {Name: "p", Type: schemas.Type{Kind: schemas.KindText, Name: "text"}, Toastable: true}}
	r.values = [][]goldenValue{r.of(columns[0].Type), r.of(columns[1].Type)}
	key := 1 + r.IntN(2)
	for range r.IntN(5) {
		v := r.golden[r.IntN(len(r.golden))]
		columns = append(columns, schemas.Column{Name: string(rune('a' + len(columns))), Type: v.typ, Toastable: r.IntN(2) == 0})
		r.values = append(r.values, r.of(v.typ))
	}
	identity := []cdc.ReplicaIdentity{cdc.IdentityDefault, cdc.IdentityFull}[r.IntN(2)]
	return relation(identity, key, columns...)
}

func (r *randomRows) of(typ schemas.Type) (out []goldenValue) {
	for _, v := range r.golden {
		if v.typ.Name == typ.Name || v.typ.Kind == typ.Kind && typ.Kind == schemas.KindInt4 {
			out = append(out, v)
		}
	}
	return out
}

func (r *randomRows) change(rel *schemas.Relation) cdc.RowChange {
	ch := cdc.RowChange{Op: []cdc.Op{cdc.OpCreate, cdc.OpUpdate, cdc.OpUpdate, cdc.OpDelete, cdc.OpRead}[r.IntN(5)], XID: 7}
	ch.New = r.row(rel, 0)
	if ch.Op == cdc.OpUpdate && r.IntN(2) == 0 {
		ch.New = r.row(rel, 3)
	}
	if ch.Op == cdc.OpDelete || ch.Op == cdc.OpUpdate {
		ch.OldKind = []cdc.OldKind{cdc.OldNone, cdc.OldKey, cdc.OldFull, cdc.OldFull}[r.IntN(4)]
	}
	if ch.OldKind != cdc.OldNone {
		ch.Old = r.row(rel, 0)
		if r.IntN(2) == 0 { // the same key
			copy(ch.Old, ch.New[:len(rel.Key)])
		}
	}
	return ch
}

// row has NULLs outside the key, and of unchanged values one in so many; 0 is none.
func (r *randomRows) row(rel *schemas.Relation, unchangedOf int) cdc.Tuple {
	row := make(cdc.Tuple, len(rel.Columns))
	for i := range row {
		v := r.values[i][r.IntN(len(r.values[i]))]
		row[i] = text(v.text)
		switch inKey := slices.Contains(rel.Key, i); {
		case r.IntN(2) == 0:
			row[i] = raw(v.binary)
		case !inKey && r.IntN(4) == 0:
			row[i] = null()
		case !inKey && unchangedOf > 0 && rel.Columns[i].Toastable && r.IntN(unchangedOf) == 0:
			row[i] = unchanged()
		}
	}
	return row
}
