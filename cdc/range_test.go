package cdc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyText(t *testing.T) {
	for _, k := range []Key{
		nil, {{Kind: DatumText, Data: []byte{}}}, {{Kind: DatumBinary, Data: []byte{0, 1, 0xff}}, {Kind: DatumText, Data: []byte("é")}},
	} {
		again, err := ParseKey(k.Text())
		require.NoError(t, err)
		require.Equal(t, k, again)
	}
	for _, wrong := range []string{"?", "dAAA", Key{{Kind: DatumText, Data: []byte("abc")}}.Text()[:8]} {
		_, err := ParseKey(wrong)
		require.ErrorIs(t, err, errKey, wrong)
	}
}
