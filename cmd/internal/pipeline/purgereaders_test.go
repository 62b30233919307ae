package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestReadersThatHaveNotPassed: what a group has not read of the records that would be deleted counts; who commits
// nothing may have read nothing.
func TestReadersThatHaveNotPassed(t *testing.T) {
	f := &Former{Topic: "t", Below: map[int32]int64{0: 10, 1: 20}, starts: map[int32]int64{0: 4, 1: 0}}
	committed := func(at ...int64) kadm.OffsetResponses {
		out := kadm.OffsetResponses{"t": {}}
		for p, offset := range at {
			out["t"][int32(p)] = kadm.OffsetResponse{Offset: kadm.Offset{Topic: "t", Partition: int32(p), At: offset}}
		}
		return out
	}
	member := map[int32]struct{}{0: {}, 1: {}}
	refused := kadm.OffsetResponses{"t": {0: {Err: kerr.GroupAuthorizationFailed}, 1: {Err: kerr.GroupAuthorizationFailed}}}
	for name, c := range map[string]struct {
		assigned  map[int32]struct{}
		committed kadm.OffsetResponses
		behind    int64
		reads     bool
	}{
		"reads another topic":                     {nil, nil, 0, false},
		"has passed it":                           {member, committed(10, 25), 0, true},
		"is behind in one partition":              {nil, committed(10, 15), 5, true},
		"is behind, and what is gone is not left": {nil, committed(1, 20), 6, true},
		"a loader of another database":            {member, nil, -1, true},
		"passed one, commits nothing of another":  {member, committed(12), -1, true},
		"it is not said":                          {nil, refused, 0, false},
	} {
		behind, reads := f.behindOf(c.assigned, c.committed)
		require.Equal(t, c.behind, behind, name)
		require.Equal(t, c.reads, reads, name)
	}
}
