package cdc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemberOfAnotherOwner(t *testing.T) {
	for _, test := range []struct {
		was, is string
		same    bool
	}{
		{"table 5 of 9 700", "table 5 of 9 700", true},
		{"table 5 of 9 700", "table 5 of 9 700 owner 10 1", true},  // written by an older build
		{"table 5 of 9 700", "table 5 of 9 801 owner 11 1", false}, // which did not note the owner
		{"table 5 of 9 700 owner 10 1", "table 5 of 9 801 owner 11 1", true},
		{"table 5 of 9 700 owner 10 0", "table 5 of 9 801 owner 11 1", true},
		{"table 5 of 9 700 owner 10 1", "table 5 of 9 801 owner 11 0", false}, // and something else after it
		{"table 5 of 9 700 owner 10 1", "table 5 of 9 801 owner 10 1", false}, // not the owner, or back and forth
		{"table 5 of 9 700 owner 10 1", "table 6 of 9 801 owner 11 1", false},
		{"table 5 of 8 700 owner 10 1", "table 5 of 9 801 owner 11 1", false},
	} {
		require.Equal(t, test.same, PublishedBy{test.was}.SharesWith(PublishedBy{test.is}), "%s → %s", test.was, test.is)
	}
}
