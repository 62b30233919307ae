package capture

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

var seedFlag = flag.Uint64("seed", 0, "run the property test with this seed only")

// TestExactlyOnceThroughFailures runs random transactions against captures that are killed, and a sink that fails,
// fences and loses answers at random points: what is committed is exactly the expected list, in order.
func TestExactlyOnceThroughFailures(t *testing.T) {
	if *seedFlag != 0 {
		synctest.Test(t, func(t *testing.T) { exactlyOnce(t, *seedFlag) })
		return
	}
	base := uint64(time.Now().UnixNano())
	for i := range uint64(150) {
		synctest.Test(t, func(t *testing.T) { exactlyOnce(t, base+i) })
		if t.Failed() {
			return
		}
	}
}

func exactlyOnce(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("run again with -run %s -seed %d", t.Name(), seed)
		}
	}()
	r := newRig()
	rng := rand.New(rand.NewPCG(seed, 1))
	r.late = rng.IntN(2) == 0
	r.options.ChunkBytes, r.options.Chunks = 20+rng.IntN(200), 1+rng.IntN(4)
	r.options.MaxTransaction = int64(50 + rng.IntN(1000))
	r.options.SnapshotWorkers = 1 + rng.IntN(3)
	for i := range rng.IntN(40) {
		r.server.rows[1] = append(r.server.rows[1], body(i))
	}
	r.breaks(rng)
	waits := rand.New(rand.NewPCG(seed, 3))                                                       // one follower at a time asks
	r.tables.reread = func() { time.Sleep(time.Duration(waits.IntN(30_000)) * time.Millisecond) } // the bubble's clock
	var want []record
	for round := range 6 {
		stop := r.start(t)
		for range rng.IntN(6) {
			want = append(want, r.transaction(rng, round)...)
			if rng.IntN(3) == 0 {
				r.server.idle(cdc.LSN(rng.IntN(50)))
			}
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond) // the bubble's clock
			if stream, ok := r.server.newest(); ok && rng.IntN(5) == 0 {
				stream.fail(errLost)
			}
		}
		require.NoError(t, ignoreFence(stop()))
	}
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	stop := r.start(t)
	r.streaming(t)
	require.NoError(t, stop())
	records, state := r.snapshot()
	got := changes(records)
	for i := range got {
		got[i].Generation = 0 // depends on when a copy was cut short
	}
	require.Equal(t, givenFrom(want, state.Source.ConsistentPoint), got)
	require.False(t, r.server.early, "nothing is reported before it is durable")
	require.LessOrEqual(t, r.server.slot.ConfirmedFlush, state.Point.Reported)
	r.checkCopies(t, records, state)
	r.checkNumbers(t, state)
}

// ignoreFence: a capture that was broken as if by another one stops by itself.
func ignoreFence(err error) error {
	if errors.Is(err, cdc.ErrFenced) {
		return nil
	}
	return err
}

// breaks makes the sink fail now and then.
func (r *rig) breaks(rng *rand.Rand) {
	own := rand.New(rand.NewPCG(rng.Uint64(), 2)) // the sink asks under its lock
	rate := own.IntN(30) + 5
	r.fail = func(string) error {
		switch own.IntN(rate) {
		case 0:
			return errLost
		case 1:
			if own.IntN(5) == 0 {
				return cdc.ErrFenced
			}
		}
		return nil
	}
}

// transaction adds a random one and gives the records it must make.
func (r *rig) transaction(rng *rand.Rand, round int) []record {
	var events []cdc.Event
	for range rng.IntN(60) {
		oid, v := []uint32{1, 2, 9}[rng.IntN(3)], strings.Repeat(string(rune('a'+round)), 1+rng.IntN(30))
		if rng.IntN(80) == 0 {
			v = "?"
		}
		switch rng.IntN(8) {
		case 0:
			events = append(events, remove(oid, v))
		case 1, 2:
			events = append(events, update(oid, v))
		case 3:
			events = append(events, rekey(oid, "old"+v, v))
		case 4:
			events = append(events, truncate(9, oid, 1))
		default:
			events = append(events, insert(oid, v))
		}
	}
	return expected(r.tables, r.server.add(events...))
}

// expected writes down, independently of the loop, what a transaction becomes (rule 1).
func expected(f *fakeTables, t tx) []record {
	c := &cdc.Chunk{}
	ordinal := uint32(0)
	meta := func() *cdc.Meta {
		return &cdc.Meta{Position: cdc.Position{Epoch: 1, CommitLSN: t.commit, Ordinal: ordinal}}
	}
	encoder := func(oid uint32) cdc.TableEncoder {
		for _, t := range f.list {
			if t.OID == oid {
				return &fakeEncoder{t: t}
			}
		}
		return nil
	}
	for _, e := range t.events {
		relations := e.Relations
		if e.Kind != cdc.EventTruncate {
			relations = []uint32{e.Relation}
		}
		for _, oid := range relations {
			ordinal++
			if enc := encoder(oid); enc != nil {
				appendEvent(enc, c, meta(), e)
			}
		}
		if e.Kind == cdc.EventUpdate {
			ordinal++
		}
	}
	var out []record
	for i, r := range c.Records {
		op, _, _ := strings.Cut(string(c.Key(i)), " ")
		out = append(out, record{r.Topic.Name, r.Partition, op, r.Position, 0, string(c.Value(i))})
	}
	return out
}

func appendEvent(enc cdc.TableEncoder, c *cdc.Chunk, m *cdc.Meta, e cdc.Event) {
	switch e.Kind { // the others change nothing
	case cdc.EventInsert:
		_ = enc.Append(context.Background(), c, m, cdc.RowChange{Op: cdc.OpCreate, New: e.New})
	case cdc.EventUpdate:
		_ = enc.Append(context.Background(), c, m, cdc.RowChange{Op: cdc.OpUpdate, OldKind: e.OldKind, Old: e.Old, New: e.New})
	case cdc.EventDelete:
		_ = enc.Append(context.Background(), c, m, cdc.RowChange{Op: cdc.OpDelete, OldKind: e.OldKind, Old: e.Old})
	case cdc.EventTruncate:
		enc.Control(c, m, cdc.ControlTruncate)
	}
}

// givenFrom drops what the slot does not give: transactions before its consistent point.
func givenFrom(want []record, point cdc.LSN) []record {
	var out []record
	for _, r := range want {
		if r.Position.CommitLSN >= point {
			out = append(out, r)
		}
	}
	return out
}

// checkCopies: the last generation of each table has its open markers, then all its rows, then its end markers.
func (r *rig) checkCopies(t *testing.T, records []record, state cdc.State) {
	t.Helper()
	for _, table := range r.tables.list {
		s := state.Tables[table.FullName()]
		require.Equal(t, cdc.TableStreaming, s.Phase)
		rows, ops := map[string]bool{}, map[string]int{}
		for _, rec := range records {
			if rec.Topic != table.Topic.Name || rec.Generation != s.Generation {
				continue
			}
			ops[rec.Op]++
			if rec.Op == "r" {
				require.Equal(t, 2, ops["open"])
				require.Zero(t, ops["end"])
				rows[rec.Body] = true
			}
		}
		require.Len(t, rows, len(r.server.rows[table.OID]))
		require.Equal(t, [2]int{2, 2}, [2]int{ops["open"], ops["end"]})
	}
}

// checkNumbers: the controls of each generation are numbered from 1 without a gap, over all restarts, and every other
// record has the number of the last one before it, which is in the state.
func (r *rig) checkNumbers(t *testing.T, state cdc.State) {
	t.Helper()
	type place struct {
		topic      string
		partition  int32
		generation uint32
	}
	last, ended := map[place]uint32{}, map[place]bool{}
	for i, rec := range r.records {
		at := place{rec.Topic, rec.Partition, rec.Generation}
		switch rec.Op {
		case "open", "end", "t":
			last[at]++
			ended[at] = ended[at] || rec.Op == "end"
			require.Equal(t, rec.Op == "open", last[at] == 1, "%s", rec)
		case "r":
			require.False(t, ended[at], "%s", rec)
		}
		require.Equal(t, last[at], r.numbers[i], "%s", rec)
	}
	for _, table := range r.tables.list {
		s := state.Tables[table.FullName()]
		require.Equal(t, last[place{table.Topic.Name, 0, s.Generation}], s.Controls)
	}
}
