package apply

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/ledger"
)

func at(lsn cdc.LSN) cdc.Position { return cdc.Position{Epoch: 1, CommitLSN: lsn} }

// topicWith has one partition of two; generations 1 to 4 were opened on it in this order.
func topicWith(shown uint32, ended ...uint32) (*Topic, *Partition) {
	t, _ := NewTopic("p.public.t", "p")
	t.Partitions, t.Shown = 2, shown
	p := &Partition{Topic: t, ID: 0, Next: 100}
	t.Parts[0] = p
	for n := range uint32(4) {
		t.Learn(0, n+1, ledger.KindOpen, End{Offset: int64(10 * n)})
	}
	for _, n := range ended {
		t.Learn(0, n, ledger.KindEnd, End{Offset: int64(10*n - 5), Cut: at(cdc.LSN(n))})
	}
	return t, p
}

func numbers(goals []*Generation) (out []uint32) {
	for _, g := range goals {
		out = append(out, g.Number)
	}
	return out
}

// TestGoals: a change goes to the newest generation opened on its partition, to the one shown, and to those between
// that ended there.
func TestGoals(t *testing.T) {
	for _, c := range []struct {
		shown uint32
		ended []uint32
		want  []uint32
	}{
		{0, nil, []uint32{4}},
		{0, []uint32{1, 3}, []uint32{4, 3, 1}},
		{2, []uint32{1, 3}, []uint32{4, 3, 2}},
		{4, []uint32{1, 2, 3, 4}, []uint32{4}},
		{6, []uint32{4}, []uint32{6}}, // another loader is ahead
	} {
		_, p := topicWith(c.shown, c.ended...)
		require.Equal(t, c.want, numbers(Goals(p)), "%+v", c)
	}
	topic, p := topicWith(2, 3)
	topic.Generation(3).Outgrown, topic.Generation(4).Outgrown = true, true
	require.Equal(t, []uint32{4, 2}, numbers(Goals(p)), "the newest is never left out")
	require.Empty(t, Goals(&Partition{Topic: topic}))
}

func TestOfChange(t *testing.T) {
	e := func(op cdc.Op, lsn cdc.LSN, unchanged ...int) *avro.Envelope {
		return &avro.Envelope{Op: op, Meta: cdc.Meta{Position: at(lsn)}, Unchanged: unchanged}
	}
	require.Equal(t, Append, OfChange(e(cdc.OpCreate, 5), cdc.Position{}))
	require.Equal(t, Append, OfChange(e(cdc.OpUpdate, 5), at(5)), "at the cut itself: snapshots have ordinal 0")
	require.Equal(t, Skip, OfChange(e(cdc.OpUpdate, 5), at(6)))
	require.Equal(t, Skip, OfChange(e(cdc.OpDelete, 5), at(6)))
	require.Equal(t, AppendDelete, OfChange(e(cdc.OpDelete, 5), at(4)))
	require.Equal(t, Complete, OfChange(e(cdc.OpUpdate, 5, 1), at(4)))
}

// TestOfBase: a record completes its base, unless it is a replay; and only a row that should be there and is not
// quarantines its table.
func TestOfBase(t *testing.T) {
	here, none := Waiting{Ended: true}, block.Ref{}
	m := &cdc.Meta{Position: at(5), Leaf: 7}
	require.Equal(t, Quarantine, OfBase(here, m, none, nil, 2, 2))
	require.Equal(t, Outgrow, OfBase(here, m, none, nil, 1, 2), "a newer copy has the row")
	require.Equal(t, Drop, OfBase(Waiting{}, m, none, nil, 2, 2), "its own copy of the row is still to come")
	require.Equal(t, Drop, OfBase(Waiting{Ended: true, Missing: true}, m, none, nil, 2, 2))
	require.Equal(t, Drop, OfBase(here, m, none, Cuts{7: at(6)}, 2, 2))
	require.Equal(t, Quarantine, OfBase(here, m, none, Cuts{8: at(6)}, 2, 2), "another leaf's TRUNCATE")

	b := block.New(&schemas.Table{Key: []int{0}, Columns: []schemas.TableColumn{{Name: "id", Key: true, NotNull: true, Type: schemas.Type{Kind: schemas.KindInt8}}}})
	row := func(lsn cdc.LSN) *block.Row {
		return &block.Row{Envelope: &avro.Envelope{After: []byte{2}, Meta: cdc.Meta{Position: at(lsn)}}, Key: []byte{2}}
	}
	require.NoError(t, b.Append(row(4), none))
	require.Equal(t, Fits, OfBase(here, m, b.Last(), nil, 2, 2))
	require.Equal(t, Quarantine, OfBase(here, m, b.Last(), Cuts{0: at(4)}, 2, 2), "hidden by a TRUNCATE")
	require.NoError(t, b.Append(row(5), none))
	require.Equal(t, Drop, OfBase(here, m, b.Last(), nil, 2, 2), "a replay")
	require.NoError(t, b.AppendDelete(row(3)))
	require.Equal(t, Quarantine, OfBase(here, m, b.Last(), nil, 2, 2), "deleted")
}

// TestCuts: a batch that keeps its cuts does not see those of a later one.
func TestCuts(t *testing.T) {
	var none Cuts
	one := none.With(0, at(5))
	two := one.With(3, at(9)).With(0, at(4))
	require.False(t, none.Hide(at(1), 0))
	require.True(t, one.Hide(at(5), 3))
	require.False(t, one.Hide(at(6), 3))
	require.True(t, two.Hide(at(9), 3))
	require.False(t, two.Hide(at(9), 4))
	require.Equal(t, Cuts{0: at(5), 3: at(9)}, two)
	require.Equal(t, Cuts{0: at(8), 3: at(9)}, two.Union(map[uint32]cdc.Position{0: at(8), 3: at(1)}))
	require.Equal(t, Cuts{0: at(5)}, one)
}

// TestMissingRows: from the create that was skipped until the key's delete or a TRUNCATE, records of the key belong to
// the missing row.
func TestMissingRows(t *testing.T) {
	topic, p := topicWith(1, 1)
	g := topic.Generation(1)
	p.MarkMissing([]byte("k"), at(5))
	require.True(t, p.IsMissing(g, []byte("k"), at(6)))
	require.False(t, p.IsMissing(g, []byte("k"), at(5)))
	require.False(t, p.IsMissing(g, []byte("other"), at(6)))
	require.False(t, p.Found([]byte("k"), at(4)), "a replayed delete from before")
	require.True(t, p.Found([]byte("k"), at(7)))
	require.False(t, p.IsMissing(g, []byte("k"), at(8)))
	p.MarkMissing([]byte("a"), at(5))
	p.MarkMissing([]byte("b"), at(9))
	require.Equal(t, []string{"a"}, p.FoundBelow(at(9)))
	require.Len(t, p.Missing, 1)
	topic.Learn(0, 2, ledger.KindEnd, End{Cut: at(10)})
	require.False(t, p.IsMissing(topic.Generation(2), []byte("b"), at(11)), "the later copy has the row")
}

// TestComplete: only ends that ClickHouse has count, on every partition.
func TestComplete(t *testing.T) {
	topic, _ := topicWith(1, 1, 2, 3)
	end := func(partition int32, generation uint32) ledger.Mark {
		return ledger.Mark{Partition: partition, Generation: generation, Kind: ledger.KindEnd}
	}
	stored := []ledger.Mark{end(0, 1), end(1, 1), end(0, 2), {Partition: 1, Generation: 2, Kind: ledger.KindOpen}}
	require.Equal(t, map[uint32]bool{1: true}, topic.Complete(stored))
}
