package apply

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// logOf is a control topic with a record at each of these places in partition 0, of generation 3, 4 …
func logOf(id uuid.UUID, kind cdc.ControlKind, places ...int64) *Controls {
	c := &Controls{Log: id}
	for i, place := range places {
		c.Add(cdc.ControlRecord{Kind: kind, Generation: uint32(3 + i), Number: 1, Offset: int64(10 * i), Offsets: map[int32]int64{0: place, 1: 1000}})
	}
	return c
}

// due takes what is due at an offset, by generation.
func due(p *Partition, offset int64) (generations []uint32) {
	for c := p.Due(offset); c != nil; c = p.Due(offset) {
		p.Take(c)
		generations = append(generations, c.Generation)
	}
	return generations
}

// TestDue: a control record comes before the row at its place, once, whenever it is read, and also in a control topic
// that was made again.
func TestDue(t *testing.T) {
	topic := &Topic{Controls: logOf(uuid.New(), cdc.ControlTruncate, 0, 5, 5, 9)}
	p := &Partition{Topic: topic}
	require.Equal(t, []uint32{3}, due(p, 4))
	require.Equal(t, []uint32{4, 5}, due(p, 5))
	require.Empty(t, due(p, 8))
	topic.Controls.Add(cdc.ControlRecord{Generation: 9, Number: 7, Offset: 40, Offsets: map[int32]int64{0: 9}})
	require.Equal(t, []uint32{6, 9}, due(p, 12))
	require.Equal(t, Controlled{Log: topic.Controls.Log, Next: 41, Sequence: cdc.ControlSequence(9, 7)}, p.Controlled)
	require.Equal(t, cdc.ControlSequence(9, 7), topic.Controls.Known)

	again := &Partition{Topic: topic, Controlled: Controlled{Log: topic.Controls.Log, Next: 11}}
	require.Equal(t, []uint32{5, 6, 9}, due(again, 100), "the first two are applied")
	other := &Partition{Topic: topic, ID: 1}
	require.Empty(t, due(other, 999))
	require.Equal(t, []uint32{9}, due(&Partition{Topic: &Topic{Controls: &Controls{Records: topic.Controls.Records[4:]}}, ID: 1}, 0), "a partition that was added later")

	*topic.Controls = *logOf(uuid.New(), cdc.ControlOpen, 3)
	require.Equal(t, []uint32{3}, due(p, 100), "all in another control topic is newer")
}

// TestBroken: where the log begins later, generations that were opened before lack rows, and only an open at or after
// its beginning ends the seeking.
func TestBroken(t *testing.T) {
	p := &Partition{Topic: &Topic{Controls: logOf(uuid.New(), cdc.ControlOpen, 0, 50, 70, 70)}}
	require.Zero(t, p.Broken(0))
	require.EqualValues(t, 4, p.Broken(70))
	require.EqualValues(t, 6, p.Broken(71))
	seek := &Seek{Above: 4, Start: 70}
	var ends []bool
	for i := range p.Topic.Controls.Records {
		ends = append(ends, seek.Ends(&p.Topic.Controls.Records[i], 0))
	}
	require.Equal(t, []bool{false, false, true, true}, ends)
	seek.Start = 71
	require.False(t, seek.Ends(&p.Topic.Controls.Records[3], 0))
	truncate := logOf(uuid.New(), cdc.ControlTruncate, 90)
	require.False(t, seek.Ends(&truncate.Records[0], 0))
}

// TestFarPartition: a record that names a partition far away claims no memory for it.
func TestFarPartition(t *testing.T) {
	var c Controls
	c.Add(cdc.ControlRecord{Offsets: map[int32]int64{1<<31 - 1: 7, 2: 8}})
	require.LessOrEqual(t, len(c.Records[0].places), mostPartitions)
	require.EqualValues(t, 8, c.Records[0].At(2))
	require.Zero(t, c.Records[0].At(1<<31-1))
}

// TestEndsOn: a generation is complete once it has ended on each partition that its end record names, however many the
// topic has by now, and whichever of the others have ended.
func TestEndsOn(t *testing.T) {
	end := func(partitions ...int32) (marks []ledger.Mark) {
		for _, p := range partitions {
			marks = append(marks, ledger.Mark{Partition: p, Generation: 3, Kind: ledger.KindEnd}, ledger.Mark{Partition: p, Generation: 4, Kind: ledger.KindOpen})
		}
		return marks
	}
	for _, topic := range []int32{2, 3, 9} { // a loader may not have noticed
		known := &Topic{Partitions: topic, Controls: logOf(uuid.New(), cdc.ControlEnd, 5)}
		require.Empty(t, known.Complete(end(0)))
		require.Empty(t, known.Complete(end(0, 2, 3)))
		require.Equal(t, map[uint32]bool{3: true}, known.Complete(end(0, 1)))
	}
	lost := &Topic{Partitions: 2, Controls: &Controls{}}
	require.Empty(t, lost.Complete(end(1, 2)))
	require.Equal(t, map[uint32]bool{3: true}, lost.Complete(end(0, 1, 2)))
	require.Empty(t, (&Topic{Controls: &Controls{}}).Complete(end(0)))
}
