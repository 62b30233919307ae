package block

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzFields: whatever bytes come in place of a row's fields, nothing panics, and a row that is undone leaves the block
// as it was.
func FuzzFields(f *testing.F) {
	s := everyForm(f)
	for i := range s.rows {
		f.Add(append([]byte(nil), s.row(i).Envelope.After...))
	}
	f.Add([]byte{2, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0}) // an array's block with its size in bytes
	b := New(s.table)
	s.add(b, 0)
	before := encoded(b)
	f.Fuzz(func(t *testing.T, fields []byte) {
		rest, err := b.AppendFields(fields)
		if err == nil {
			require.LessOrEqual(t, len(rest), len(fields))
			for _, c := range b.fields {
				require.Equal(t, b.Rows()+1, c.Rows(), c.Name)
			}
		}
		b.Undo()
		require.Equal(t, before, encoded(b))
	})
}
