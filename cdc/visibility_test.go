package cdc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVisibility: a snapshot sees what ended before it began, by 32-bit ids that wrap around.
func TestVisibility(t *testing.T) {
	for _, c := range []struct {
		snapshot string
		xid      uint32
		seen     bool
	}{
		{"100:100:", 99, true},
		{"100:100:", 100, false}, // not begun, or begun after
		{"100:105:100,103", 100, false},
		{"100:105:103,100", 101, true},
		{"100:105:100,103", 103, false},
		{"100:105:100,103", 105, false},
		{"100:105:100", 3, true},
		{"4294967290:4294967300:4294967298", 2, false}, // 2^32 + 2 is running
		{"4294967290:4294967300:4294967298", 3, true},
		{"4294967290:4294967300:4294967298", 4, false},
		{"4294967290:4294967300:4294967292", 4294967292, false},
		{"4294967290:4294967300:", 4294967295, true}, // before the ids wrapped
	} {
		v, err := ParseVisibility(c.snapshot)
		require.NoError(t, err)
		require.Equal(t, c.seen, v.Sees(c.xid), "%s %d", c.snapshot, c.xid)
	}
	for _, bad := range []string{"", "1:2", "1:x:", "1:5:a", "1:2:3:4"} {
		_, err := ParseVisibility(bad)
		require.ErrorIs(t, err, errVisibility, bad)
	}
}
