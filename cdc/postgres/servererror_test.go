package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServerErrorsHoldNoValue(t *testing.T) {
	for code, safe := range map[string]bool{
		"42501": true, "55P03": true, "57014": true, "53300": true, "08006": true,
		"22021": false, "22P02": false, "22P05": false, "23505": false, "55P04": false, "P0001": false, "XX000": false, "XX001": false, "38000": false, "": false,
	} {
		said := ServerError(code, "canary-1")
		require.Contains(t, said, code)
		require.Equal(t, safe, said == "canary-1 ("+code+")", code)
		if !safe {
			require.NotContains(t, said, "canary")
		}
	}
	require.True(t, BadValue("22P05"))
	require.True(t, BadValue("XX001"))
	require.False(t, BadValue("42501"))
}
