package avro

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzControl: whatever key of a control record comes, nothing panics, and one that is taken is written and read again
// as the same. The seeds are in testdata/fuzz.
func FuzzControl(f *testing.F) {
	for _, kind := range []ControlKind{ControlTruncate, ControlOpen, ControlEnd} {
		f.Add(Control{Kind: kind, Generation: 3, Leaf: 99, Partition: 2}.appendTo(nil))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := ReadControl(payload)
		if err != nil {
			require.Zero(t, c)
			return
		}
		again, err := ReadControl(c.appendTo(nil))
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
