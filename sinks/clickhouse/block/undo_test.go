package block

import (
	"slices"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// everyForm has a column of each form that a block has, and rows with NULLs, exact texts and saturated elements.
func everyForm(t testing.TB) *source {
	dates := column("dates", schemas.KindArray)
	dates.Type.Elem = &schemas.Type{Kind: schemas.KindDate, Name: "date"}
	s := newSource(t, cdc.IdentityFull, []int{0, 1}, notNull("id", schemas.KindInt4), notNull("day", schemas.KindDate),
		column("b", schemas.KindBool), column("v", schemas.KindText), schemas.Column{Name: "n", Type: decimal(12, 2)},
		column("u", schemas.KindUUID), column("at", schemas.KindTimestamp), column("f", schemas.KindFloat8), dates)
	const u = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	s.insert("1", "2024-01-02", "t", "one", "1.25", u, "2024-01-02 03:04:05", "0.5", "{2024-01-02}")
	s.insert("2", "9999-12-31", `\N`, `\N`, "NaN", `\N`, "infinity", `\N`, "{9999-12-31,NULL,2024-01-02}")
	s.insert("3", "2024-01-02", "f", "three", `\N`, u, "0044-03-15 00:00:00 BC", "1", `\N`)
	return s
}

// encoded is what an insert would send.
func encoded(b *Block) []byte {
	var out proto.Buffer
	nullable := make([]bool, len(b.fields))
	for i, f := range b.fields {
		nullable[i] = f.source.Type.Kind != schemas.KindArray
	}
	b.SetNullable(nullable)
	for _, c := range b.Columns() {
		c.EncodeColumn(&out)
	}
	return out.Buf
}

// TestUndo: whatever part of a row was appended, after any other, undoing it leaves the block as it was.
func TestUndo(t *testing.T) {
	s := everyForm(t)
	for n := range len(s.rows) + 1 {
		for i := range s.rows {
			b := New(s.table)
			for before := range n {
				s.add(b, before)
			}
			want, bytes := encoded(b), b.Bytes()
			r := s.row(i)
			for cut := range len(r.Envelope.After) + 1 {
				_, err := b.AppendFields(r.Envelope.After[:cut:cut])
				require.Equal(t, cut < len(r.Envelope.After), err != nil)
				b.Undo()
				require.Equal(t, want, encoded(b), "%d rows, %d bytes of row %d", n, cut, i)
			}
			whole := r.Key
			for cut := range len(whole) {
				r.Key = whole[:cut:cut]
				require.Error(t, b.Append(r, Ref{}))
				require.Error(t, b.AppendDelete(r))
				require.Equal(t, want, encoded(b))
			}
			r.Key = whole
			require.Equal(t, bytes, b.Bytes())
			require.Equal(t, n, b.Rows())
			for c := range s.table.Columns {
				require.Equal(t, hasNull(s.table.Columns[c].Name, n), b.HasNull(c), s.table.Columns[c].Name)
			}
		}
	}
}

// hasNull says whether the first n rows of everyForm hold NULL in a column.
func hasNull(column string, n int) bool {
	return n > 1 && slices.Contains([]string{"b", "v", "u", "f", "n"}, column)
}

// TestOnePass: a row whose fields were appended before its lists were known is the same.
func TestOnePass(t *testing.T) {
	s := everyForm(t)
	one, two := New(s.table), New(s.table)
	for _, i := range []int{0, 2} { // row 1 has exact texts of Avro's
		s.add(one, i)
		r := s.row(i)
		rest, err := two.AppendFields(r.Envelope.After)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.NoError(t, two.Finish(r))
	}
	require.Equal(t, encoded(one), encoded(two))
	require.Equal(t, one.Bytes(), two.Bytes())
}
