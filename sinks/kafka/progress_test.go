package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// offsets are those of a progress record: topic, partition, last data offset + 1.
type offsets map[string]map[string]int64

// random gives a generator whose seed is printed and can be set again with DIRTBIKE_SEED.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DIRTBIKE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("DIRTBIKE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// foldText folds progress records as a reader would who knows only cdc/EXACTNESS.md.
func foldText(t *testing.T, all offsets, value []byte) offsets {
	t.Helper()
	var r struct {
		Full    bool    `json:"full"`
		Offsets offsets `json:"offsets"`
	}
	require.NoError(t, json.Unmarshal(value, &r))
	if r.Full {
		return r.Offsets
	}
	require.NotNil(t, all, "the first record is full")
	for topic, partitions := range r.Offsets {
		if all[topic] == nil {
			all[topic] = map[string]int64{}
		}
		for partition, next := range partitions {
			all[topic][partition] = next
		}
	}
	return all
}

// Property: however partitions move, folding the records from any full one on gives how far each partition reaches. And
// what Recover reads back from any suffix that holds a full record is the same.
func TestDeltasFoldToTheTruth(t *testing.T) {
	r := random(t)
	l, truth := newLedger(), offsets{}
	var folded offsets
	var records []cdc.Progress
	for i := range 3 * fullEvery {
		for range r.IntN(4) {
			topic, partition, next := fmt.Sprintf("t%d", r.IntN(5)), r.Int32N(6), int64(i+1)
			state := l.topic(topic)
			state.grow(6)
			l.moved(state, partition, next)
			if truth[topic] == nil {
				truth[topic] = map[string]int64{}
			}
			truth[topic][strconv.Itoa(int(partition))] = next
		}
		if r.IntN(3) == 0 {
			continue // a partial commit writes no record
		}
		point := sinktest.PointAt(cdc.LSN(i))
		value, err := l.encode(point)
		require.NoError(t, err)
		l.written()
		folded = foldText(t, folded, value)
		require.Equal(t, truth, folded, "record %d", i)
		p, err := decodeProgress(value)
		require.NoError(t, err)
		records = append(records, p)
		if i%97 == 0 {
			back := newLedger()
			suffix := records[r.IntN(len(records)):]
			ok, err := foldProgress(back, suffix, point)
			require.NoError(t, err)
			require.Equal(t, slices.ContainsFunc(suffix, func(p cdc.Progress) bool { return p.Full }), ok)
			if ok {
				require.Equal(t, truth, known(back))
			}
		}
	}
}

// known are the ledger's offsets in the form of a record.
func known(l *ledger) offsets {
	all := offsets{}
	for name, topic := range l.topics {
		for i, next := range topic.next {
			if next == unknownOffset {
				continue
			}
			if all[name] == nil {
				all[name] = map[string]int64{}
			}
			all[name][strconv.Itoa(i)] = next
		}
	}
	return all
}

func TestProgressRecord(t *testing.T) {
	l := newLedger()
	claims := sinktest.Table(`cla"ims`, "t")
	l.table(&claims)
	a, b := l.topic("a"), l.topic("b")
	a.grow(3)
	b.grow(2)
	l.moved(a, 2, 9)
	l.moved(b, 0, 1)
	l.moved(b, 1, 5)
	p := cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 0x16B374D848, Ordinal: 3}, Reported: 0x16B374D880, Time: 77}
	for _, want := range []string{
		`{"format":2,"epoch":1,"commit_lsn":"16/B374D848","ordinal":3,"lsn":"16/B374D880","time_us":77,"full":true,` +
			`"offsets":{"a":{"2":9},"b":{"0":1,"1":5}},"tables":{"public.cla\"ims":{"phase":"copying","generation":1,"controls":0,"topic":"t","partitions":0}}}`,
		`{"format":2,"epoch":1,"commit_lsn":"16/B374D848","ordinal":3,"lsn":"16/B374D880","time_us":77,"offsets":{},"tables":{}}`,
	} {
		got, err := l.encode(p)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		l.written()
	}
	claims.Phase, claims.Reason = cdc.TableQuarantined, "a value does not fit"
	l.table(&claims)
	l.moved(b, 1, 6)
	got, err := l.encode(p)
	require.NoError(t, err)
	require.Contains(t, string(got), `"offsets":{"b":{"1":6}},"tables":{"public.cla\"ims":{"phase":"quarantined","reason":"a value does not fit","generation":1,"controls":0,"topic":"t","partitions":0}}}`)
	l.recreated("b")
	got, err = l.encode(p)
	require.NoError(t, err)
	require.Contains(t, string(got), `"full":true,"offsets":{"a":{"2":9}}`)
}

// Property: through commits, split transactions, idle advances, aborted transactions, restarts and a lost progress
// topic, the folded progress says after every whole commit where the last committed data record of each partition is.
func TestProgressIsTrueThroughRestarts(t *testing.T) {
	r := random(t)
	cluster := fakeCluster(t)
	seeds := cluster.ListenAddrs()
	topics := []*cdc.Topic{claims("clinic", 3), {Name: "clinic.public.sites", Partitions: 2}}
	o := options(seeds, "clinic")
	s := started(t, o, topics[0])
	ensureTopic(t, s, topics[1])
	// kfake refused one commit of thousands with OUT_OF_ORDER_SEQUENCE_NUMBER: a capture would recover and go on
	commit := func(p cdc.Point, changed ...cdc.StateChange) {
		t.Helper()
		_, err := s.Commit(t.Context(), p, changed...)
		if errors.Is(err, kerr.OutOfOrderSequenceNumber) {
			mustRecover(t, s)
			_, err = s.Commit(t.Context(), p, changed...)
		}
		require.NoError(t, err)
	}
	commit(sinktest.PointAt(1), sinktest.Table("sites", topics[1].Name))
	write := func() {
		for range r.IntN(3) {
			_, err := s.Write(t.Context(), chunkOf(topics[r.IntN(2)], "a", r.IntN(4)))
			require.NoError(t, err)
		}
	}
	for i := range 40 {
		write()
		lsn := cdc.LSN(i + 2)
		switch r.IntN(5) {
		case 0: // a part
			p := sinktest.PointAt(lsn)
			p.Partial = true
			commit(p)
			if r.IntN(2) == 0 {
				continue
			}
			fallthrough
		case 1: // killed and started again
			s = newSink(t, o)
			mustRecover(t, s)
		case 2: // the progress topic lost what it had
			require.NoError(t, cluster.DeleteRecords("_dirtbike.clinic.progress", 0, -1))
			mustRecover(t, s)
		default:
		}
		write()
		commit(sinktest.PointAt(lsn))
		requireTruth(t, seeds, topics)
	}
}

func requireTruth(t *testing.T, seeds []string, topics []*cdc.Topic) {
	t.Helper()
	truth := offsets{}
	for _, topic := range topics {
		for _, r := range readCommitted(t, seeds, topic.Name) {
			if truth[topic.Name] == nil {
				truth[topic.Name] = map[string]int64{}
			}
			truth[topic.Name][strconv.Itoa(int(r.Partition))] = r.Offset + 1
		}
	}
	var folded offsets
	for _, r := range readCommitted(t, seeds, "_dirtbike.clinic.progress") {
		folded = foldText(t, folded, r.Value)
	}
	require.Equal(t, truth, folded)
}

// TestLostFullRecord: once the progress topic has lost its last full record, the next one is full: loaders that begin
// without one need it.
func TestLostFullRecord(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	o := options(seeds, "clinic")
	s := started(t, o, claims("clinic", 2))
	admin := adminOf(t, seeds)
	next, last := cdc.LSN(1), func() cdc.Progress {
		records := readCommitted(t, seeds, o.progressTopic())
		p, err := decodeProgress(records[len(records)-1].Value)
		require.NoError(t, err)
		return p
	}
	commit := func() {
		t.Helper()
		next++
		_, err := s.Commit(t.Context(), sinktest.PointAt(next))
		require.NoError(t, err)
	}
	for range 2 { // also when another one was written for that
		commit()
		_, err := s.Unfit(t.Context(), nil)
		require.NoError(t, err)
		commit()
		require.False(t, last().Full, "it is there")
		ends, err := admin.ListEndOffsets(t.Context(), o.progressTopic())
		require.NoError(t, err)
		_, err = admin.DeleteRecords(t.Context(), ends.Offsets())
		require.NoError(t, err)
		_, err = s.Unfit(t.Context(), nil)
		require.NoError(t, err)
		commit()
		require.True(t, last().Full)
		require.Contains(t, last().Tables, "public.claims")
	}
}
