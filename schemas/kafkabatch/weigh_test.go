package kafkabatch

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// record is one with a key, a value and so many empty headers; more says how many it claims beyond.
func record(key, value string, with, more int) []byte {
	body := []byte{0, 0, 0}
	body = append(binary.AppendVarint(body, int64(len(key))), key...)
	body = append(binary.AppendVarint(body, int64(len(value))), value...)
	body = append(binary.AppendVarint(body, int64(with+more)), make([]byte, 2*with)...)
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// TestWeigh: records and headers count with what a client makes of them; what is cut off or below zero does not.
func TestWeigh(t *testing.T) {
	weigh := func(batch []byte) int64 { return Weigh(batch) - int64(len(batch)) }
	plain := record("k", "a value", 0, 0)
	require.EqualValues(t, 3*recordBytes, weigh(bytes.Repeat(plain, 3)))
	require.EqualValues(t, recordBytes, weigh(append(bytes.Clone(plain), plain[:len(plain)-1]...)), "what is cut off does not count")
	require.EqualValues(t, recordBytes+1000*headerBytes, weigh(record("", "", 1000, 0)))
	require.EqualValues(t, recordBytes+2*10*headerBytes, weigh(record("", "", 10, 1<<30)), "a client makes no more than there are bytes")
	null := []byte{12, 0, 0, 0, 1, 1, 0} // key and value are none
	require.EqualValues(t, recordBytes, weigh(null))
	require.Zero(t, weigh([]byte{0x03}), "a length below zero")
	require.EqualValues(t, 100*recordBytes, weigh(make([]byte, 100)), "records of nothing")
	require.Equal(t, int64(1<<20), MostWeight(1<<17))
	require.Equal(t, (1<<20)/recordBytes, MostRecords(1<<17))
}

// FuzzWeigh: whatever a batch holds, nothing panics, and its weight has a bound.
func FuzzWeigh(f *testing.F) {
	f.Add(record("k", "v", 3, 0))
	f.Add(record("k", "v", 3, 1<<40))
	f.Fuzz(func(t *testing.T, batch []byte) {
		w := Weigh(batch)
		require.GreaterOrEqual(t, w, int64(len(batch)))
		require.LessOrEqual(t, w, int64(len(batch))*(1+recordBytes))
	})
}
