// Package sinktest holds the conformance suite of cdc.Sink: every implementation, over every broker, must pass
// Exercise.
package sinktest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// Record is what a reader that sees only committed records got.
type Record struct {
	Partition int32
	Offset    int64
	Key       string
	// Value is nil for a tombstone.
	Value    []byte
	Position []byte // the packed position in a tombstone's header, else nil
}

// Pipeline is one pipeline with nothing in it: a prefix of its own.
type Pipeline struct {
	// Sink makes another sink of the pipeline, as another process would; release may be nil. The suite closes it.
	Sink func(t *testing.T, release func(*cdc.Chunk)) cdc.Sink
	// WriteState writes what Commit would, and leaves the transaction open, as a process does that is killed within
	// Commit.
	WriteState func(t *testing.T, s cdc.Sink, p cdc.Point, changed ...cdc.StateChange)
	// Topic describes a table topic of the pipeline; it is not created.
	Topic func(table string, partitions int32, compacted bool) *cdc.Topic
	// Read gives all committed records of the topic, ordered by offset within each partition.
	Read func(t *testing.T, topic string) []Record
}

// Exercise runs the suite; fresh gives a pipeline that nothing has used.
func Exercise(t *testing.T, fresh func(t *testing.T) Pipeline) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Pipeline)
	}{
		{"recover on nothing", recoverOnNothing},
		{"what is committed is recovered", committedIsRecovered},
		{"what is not committed is not seen", uncommittedIsNotSeen},
		{"the newer sink fences the older", newerFences},
		{"an idle older sink learns that it is fenced", idleIsFenced},
		{"peek on nothing makes nothing", peekOnNothing},
		{"peek sees what recover gives", peekSeesWhatRecoverGives},
		{"peek sees nothing uncommitted", peekSeesNothingUncommitted},
		{"peek fences no producer", peekFencesNobody},
		{"a split transaction", splitTransaction},
		{"order within partitions", orderHolds},
		{"an idle commit", idleCommit},
		{"tombstones carry their position", tombstones},
		{"chunks come back", chunksComeBack},
		{"a large chunk", largeChunk},
		{"a closed sink refuses", closedRefuses},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

// Source is a source state for tests.
func Source(phase cdc.Phase) cdc.SourceState {
	return cdc.SourceState{
		Format: cdc.StateFormat, Phase: phase, Epoch: 1, System: "7400000000000000001", Timeline: 1, Database: "clinic",
		Slot: "dirtbike", ConsistentPoint: 0xFFFF_FFFF_0000_0010, Partitions: 3, HashKeys: map[string]string{"k1": "ab"},
	}
}

// Table is a table's state for tests.
func Table(name, topic string) cdc.TableState {
	return cdc.TableState{
		Format: cdc.StateFormat, Schema: "public", Table: name, OID: 4242, Topic: topic, Phase: cdc.TableCopying, Generation: 1, KeyPrint: "k", PolicyPrint: "p",
		PublishedBy: cdc.PublishedBy{"table 7", "schema 8"}, Columns: []cdc.Column{{Number: 1, Name: "id", Type: "bigint"}},
	}
}

// PointAt is a whole point whose last commit begins at lsn.
func PointAt(lsn cdc.LSN) cdc.Point {
	return cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: lsn, Ordinal: 1}, Reported: lsn + 8, Time: int64(lsn)}
}

// Fill appends n records to the chunk, spread over the topic's partitions in turn; key and value name the record.
func Fill(c *cdc.Chunk, topic *cdc.Topic, prefix string, n int) {
	for i := range n {
		r := cdc.Record{Topic: topic, Partition: int32(i) % topic.Partitions, Key: len(c.Bytes)}
		c.Bytes = fmt.Appendf(c.Bytes, "%s-%06d", prefix, i)
		r.Value = len(c.Bytes)
		c.Bytes = fmt.Appendf(c.Bytes, "value of %s-%06d", prefix, i)
		r.End = len(c.Bytes)
		r.Position = cdc.Position{Epoch: 1, CommitLSN: 7, Ordinal: uint32(i + 1)}
		c.Records = append(c.Records, r)
	}
}

// filled is a chunk with n records.
func filled(topic *cdc.Topic, prefix string, n int) *cdc.Chunk {
	c := &cdc.Chunk{}
	Fill(c, topic, prefix, n)
	return c
}

// open gives a sink that has recovered.
func open(t *testing.T, p Pipeline, release func(*cdc.Chunk)) (cdc.Sink, *cdc.State) {
	t.Helper()
	s := p.Sink(t, release)
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	return s, state
}

func ensureTopic(t *testing.T, s cdc.Sink, topic *cdc.Topic) {
	t.Helper()
	_, err := s.EnsureTopic(t.Context(), topic)
	require.NoError(t, err)
}

// ready gives a sink that has recovered and made the topic, and has committed a source.
func ready(t *testing.T, p Pipeline, topic *cdc.Topic) cdc.Sink {
	t.Helper()
	s, _ := open(t, p, nil)
	ensureTopic(t, s, topic)
	commit(t, s, PointAt(1), Source(cdc.PhaseStreaming))
	return s
}

func write(t *testing.T, s cdc.Sink, c *cdc.Chunk) {
	t.Helper()
	took, err := s.Write(t.Context(), c)
	require.NoError(t, err)
	require.EqualValues(t, len(c.Records), took.Records())
	require.EqualValues(t, len(c.Bytes), took.Bytes())
}

func commit(t *testing.T, s cdc.Sink, p cdc.Point, changed ...cdc.StateChange) {
	t.Helper()
	durable, err := s.Commit(t.Context(), p, changed...)
	require.NoError(t, err)
	require.Equal(t, p, durable.Point())
}
