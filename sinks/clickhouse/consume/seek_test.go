package consume

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
)

// TestLostCount: a repeated open record has a new copy of its table as its way out, and a lower generation a new count;
// neither stops load.
func TestLostCount(t *testing.T) {
	p := &apply.Partition{Topic: &apply.Topic{Name: "p.public.a", Table: "public.a"}, Opens: map[uint32]apply.End{4: {Offset: 1}, 9: {Offset: 60}}}
	repeated, lost := LostCount(p, 50, 4), LostCount(p, 50, 1)
	require.Equal(t, cdc.ResnapshotCommand("public.a"), cdc.Explain(repeated).Try[0].Command)
	require.Equal(t, cdc.ResnapshotAllCommand, cdc.Explain(lost).Try[0].Command)
	require.NotErrorIs(t, lost, ErrGap)
}

// TestOverdue: a partition to which nothing comes stops load; the progress topic that lacks its first records does not.
func TestOverdue(t *testing.T) {
	lost := errors.New("lost")
	seek := &apply.Seek{Why: lost, Since: time.Now()}
	topics := map[string]*apply.Topic{"a": {Parts: map[int32]*apply.Partition{0: {Seek: seek}, 1: {}}}}
	require.NoError(t, Overdue(topics))
	seek.Since = time.Now().Add(-2 * seekPatience)
	require.ErrorIs(t, Overdue(topics), lost)
	topics["a"].Progress = true
	require.NoError(t, Overdue(topics))
	seek.Renewed = true
	require.ErrorIs(t, Overdue(topics), lost)
}
