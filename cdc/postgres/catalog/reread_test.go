package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVisible: a snapshot sees what ended before it began, by 32-bit ids that wrap around.
func TestVisible(t *testing.T) {
	for _, c := range []struct {
		snapshot string
		xid      uint32
		seen     bool
	}{
		{"100:100:", 99, true},
		{"100:100:", 100, false}, // not begun, or begun after
		{"100:105:100,103", 100, false},
		{"100:105:100,103", 101, true},
		{"100:105:100,103", 103, false},
		{"100:105:100,103", 105, false},
		{"4294967290:4294967300:4294967298", 2, false}, // 2^32 + 2 is running
		{"4294967290:4294967300:4294967298", 3, true},
		{"4294967290:4294967300:4294967298", 4, false},
		{"4294967290:4294967300:", 4294967295, true}, // before the ids wrapped
		{"4294967290:4294967300:", 0, true},          // nothing to wait for
	} {
		seen, err := visible(c.snapshot, c.xid)
		require.NoError(t, err)
		require.Equal(t, c.seen, seen, "%s %d", c.snapshot, c.xid)
	}
	for _, bad := range []string{"", "1:2", "1:x:", "1:5:a"} {
		_, err := visible(bad, 1)
		require.Error(t, err, bad)
	}
}
