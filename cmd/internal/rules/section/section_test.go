package section

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplace(t *testing.T) {
	const begin, end = "<!-- x:begin -->\n", "<!-- x:end -->\n"
	got, err := Replace("a\n"+begin+"old\n"+end+"b\n", "x", "new\n")
	require.NoError(t, err)
	require.Equal(t, "a\n"+begin+"new\n"+end+"b\n", got)
	for name, page := range map[string]string{"no marks": "a\n", "two": begin + begin + end, "wrong order": end + begin} {
		t.Run(name, func(t *testing.T) {
			_, err := Replace(page, "x", "new\n")
			require.Error(t, err)
		})
	}
}
