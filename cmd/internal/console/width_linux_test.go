package console

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWidthOfATerminal: it is the terminal's, but never too narrow to read.
func TestWidthOfATerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	defer terminal.Close()
	for columns, want := range map[uint16]int{0: 120, 40: 60, 60: 60, 97: 97, 200: 200} {
		require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
		require.Equal(t, want, Width(terminal), "%d columns", columns)
	}
}
