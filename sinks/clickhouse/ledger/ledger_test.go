package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestVersion: ClickHouse orders versions as positions are ordered, and none is lost on the way.
func TestVersion(t *testing.T) {
	order := []cdc.Position{
		{}, {Epoch: 1}, {Epoch: 1, Ordinal: 7}, {Epoch: 1, CommitLSN: 1}, {Epoch: 1, CommitLSN: 1 << 33, Ordinal: 1 << 31},
		{Epoch: 1, CommitLSN: 1<<64 - 1, Ordinal: 1<<32 - 1}, {Epoch: 1<<32 - 1},
	}
	for i, p := range order {
		require.Equal(t, p, positionOf(Version(p)))
		if i > 0 {
			require.Positive(t, Version(p).Cmp(Version(order[i-1])), p)
		}
	}
}

// TestPointsDoNotGoBack: a later epoch, LSN or time outranks an earlier one, in this order.
func TestPointsDoNotGoBack(t *testing.T) {
	order := []Point{
		{Time: -5}, {Time: 1}, {LSN: 1}, {LSN: 1, Time: 1 << 60}, {LSN: 1<<64 - 1}, {Position: cdc.Position{Epoch: 1}}, {Position: cdc.Position{Epoch: 1}, LSN: 1},
	}
	for i := range order[1:] {
		require.Positive(t, order[i+1].version().Cmp(order[i].version()), order[i+1])
	}
}

func TestPrefixOf(t *testing.T) {
	for topic, want := range map[string]string{
		"clinic.public.claims": "clinic", "a.b.public.claims": "a.b", "_dirtbike.clinic.progress": "clinic", "_dirtbike.a.b.state": "a.b", "x": "", "x.y": "",
	} {
		require.Equal(t, want, prefixOf(topic), topic)
	}
}
