package console

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWidthOfWhatIsNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer file.Close()
	require.Equal(t, 120, Width(file))
	require.Equal(t, 120, Width(new(strings.Builder)))
}
