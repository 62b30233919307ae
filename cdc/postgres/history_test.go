package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

func TestParseHistory(t *testing.T) {
	got, err := parseHistory("1\t0/3000148\tno recovery target specified\n\n# a comment\n2\t1/A0\tbefore 2000-01-01\n")
	require.NoError(t, err)
	require.Equal(t, []cdc.TimelineSwitch{{Timeline: 1, At: 0x3000148}, {Timeline: 2, At: 0x1000000A0}}, got)
	for _, bad := range []string{"1", "x\t0/1", "1\tx"} {
		_, err := parseHistory(bad)
		require.Error(t, err)
	}
}

// FuzzParseHistory: whatever a timeline history holds, nothing panics, and what is read from it is read again from a
// history that says just that.
func FuzzParseHistory(f *testing.F) {
	f.Fuzz(func(t *testing.T, content string) {
		switches, err := parseHistory(content)
		if err != nil {
			require.Empty(t, switches)
			return
		}
		var again strings.Builder
		for _, s := range switches {
			fmt.Fprintf(&again, "%d\t%s\tno reason\n", s.Timeline, s.At)
		}
		same, err := parseHistory(again.String())
		require.NoError(t, err)
		require.Equal(t, switches, same)
	})
}
