package consume

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
)

// control is a record whose key is a control record's under schema id 7.
func control(offset int64, kind avro.ControlKind, generation uint32) *kgo.Record {
	key := append(binary.AppendVarint(avro.AppendFrame(nil, 7), int64(len(kind))), kind...)
	key = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(key, int64(generation)), 0), 0) // as Avro writes a long
	return &kgo.Record{Topic: "p.public.a", Offset: offset, Key: key}
}

func isControl(_ context.Context, id int) (bool, error) { return id == 7, nil }

// TestSkipToNewerOpen: only the open record of a newer generation is found; where there is none until the end of the
// log as it was, load stops with the reason.
func TestSkipToNewerOpen(t *testing.T) {
	lost := errors.New("lost")
	p := &apply.Partition{Seek: &apply.Seek{Above: 3, Until: 100, Why: lost}}
	change := &kgo.Record{Offset: 5, Key: avro.AppendFrame(nil, 8)}
	for offset, rec := range []*kgo.Record{control(0, avro.ControlOpen, 3), control(1, avro.ControlEnd, 9), change, {Key: []byte("foreign")}} {
		rec.Offset = int64(offset)
		found, err := SkipToNewerOpen(t.Context(), p, rec, isControl)
		require.NoError(t, err)
		require.False(t, found)
		require.Equal(t, int64(offset)+1, p.Next)
	}
	_, err := SkipToNewerOpen(t.Context(), p, control(99, avro.ControlOpen, 2), isControl)
	require.ErrorIs(t, err, lost)
	found, err := SkipToNewerOpen(t.Context(), p, control(50, avro.ControlOpen, 4), isControl)
	require.NoError(t, err)
	require.True(t, found)
	require.Nil(t, p.Seek)
}

// TestLostCount: a repeated open record has a new copy of its table as its way out, and a lower generation a new count;
// neither stops load.
func TestLostCount(t *testing.T) {
	p := &apply.Partition{Topic: &apply.Topic{Name: "p.public.a", Table: "public.a"}, Opens: map[uint32]int64{4: 1, 9: 60}}
	repeated, lost := LostCount(p, control(50, avro.ControlOpen, 4), 4), LostCount(p, control(50, avro.ControlOpen, 1), 1)
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
