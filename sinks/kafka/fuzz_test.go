package kafka

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// The seeds of these tests are in testdata/fuzz. What a decoder takes is written again and read again as the same; what
// it does not take is refused; nothing panics.

func FuzzStateRecord(f *testing.F) {
	for _, c := range []cdc.StateChange{sinktest.Source(cdc.PhaseStreaming), sinktest.Table("claims", "t")} {
		key, value, err := encodeChange(c)
		require.NoError(f, err)
		f.Add(string(key), value)
	}
	f.Add("point", encodePoint(sinktest.PointAt(5)))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		state := newState()
		if err := foldState(state, []byte(key), value); err != nil {
			require.ErrorIs(t, err, cdc.ErrRefused)
			return
		}
		again := newState()
		if key == keyPoint {
			require.NoError(t, foldState(again, []byte(key), encodePoint(state.Point)))
		} else {
			refold(t, again, state, key)
		}
		state.Source.Format, again.Source.Format = 0, 0 // encoding always writes its own
		require.Equal(t, state.Point, again.Point)
		require.Equal(t, state.Source, again.Source)
		require.Len(t, again.Tables, len(state.Tables))
	})
}

func refold(t *testing.T, again, state *cdc.State, key string) {
	t.Helper()
	var change cdc.StateChange = state.Source
	if name, ok := strings.CutPrefix(key, tablePrefix); ok {
		change = state.Tables[name]
	}
	k, value, err := encodeChange(change)
	require.NoError(t, err)
	if key != keyOwner { // which changes nothing of the state
		require.Equal(t, key, string(k))
	}
	require.NoError(t, foldState(again, k, value))
}

func FuzzProgress(f *testing.F) {
	l := newLedger()
	l.known("clinic.public.claims", 2, 7)
	l.table(&cdc.TableState{Schema: "public", Table: "claims", Phase: cdc.TableStreaming, Generation: 3})
	value, err := l.encode(sinktest.PointAt(5))
	require.NoError(f, err)
	f.Add(value)
	f.Fuzz(func(t *testing.T, value []byte) {
		p, l := readProgressRecord(t, value)
		if l == nil {
			return
		}
		point := cdc.Point{
			Position: p.Position(), Reported: p.LSN, Time: p.TimeUS,
		}
		written, err := l.encode(point)
		require.NoError(t, err)
		same, again := readProgressRecord(t, written)
		p.Offsets, same.Offsets, p.Tables, same.Tables, p.Full = nil, nil, nil, nil, true
		require.Equal(t, p, same)
		require.Equal(t, nextOffsets(l), nextOffsets(again))
	})
}

// readProgressRecord gives what a record says, and a ledger that it was folded into; nil if it is refused.
func readProgressRecord(t *testing.T, value []byte) (cdc.Progress, *ledger) {
	t.Helper()
	p, err := decodeProgress(value)
	l := newLedger()
	if err == nil {
		err = l.fold(p)
	}
	if err != nil {
		require.ErrorIs(t, err, cdc.ErrRefused)
		return p, nil
	}
	return p, l
}

// nextOffsets lists the partitions that the ledger knows.
func nextOffsets(l *ledger) map[string]map[int]int64 {
	all := map[string]map[int]int64{}
	for name, topic := range l.topics {
		for partition, next := range topic.next {
			if next == unknownOffset {
				continue
			}
			if all[name] == nil {
				all[name] = map[int]int64{}
			}
			all[name][partition] = next
		}
	}
	return all
}

func FuzzClaim(f *testing.F) {
	value, err := json.Marshal(newClaim())
	require.NoError(f, err)
	f.Add(value)
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := decodeClaim(value)
		if err != nil {
			require.Zero(t, c)
			return
		}
		written, err := json.Marshal(c)
		require.NoError(t, err)
		again, err := decodeClaim(written)
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
