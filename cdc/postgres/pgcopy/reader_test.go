package pgcopy

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// read feeds chunks and gives the rows as lines, and the first error.
func read(chunks ...[]byte) ([]string, error) {
	var r Reader
	var rows []string
	for _, chunk := range chunks {
		if err := r.Feed(chunk, func(fields [][]byte) error {
			rows = append(rows, rowLine(fields))
			return nil
		}); err != nil {
			return rows, err
		}
	}
	return rows, r.Close()
}

func eachGolden(t *testing.T, visit func(t *testing.T, g golden)) {
	for name := range queries {
		t.Run(name, func(t *testing.T) { visit(t, load(t, name)) })
	}
}

// TestGoldens: the rows are those that the extended protocol gave for the same query.
func TestGoldens(t *testing.T) {
	eachGolden(t, func(t *testing.T, g golden) {
		rows, err := read(g.chunks...)
		require.NoError(t, err)
		require.Equal(t, g.rows, rows)
	})
}

// TestChunksMayBeCutAnywhere: all in one, in pieces of every size, and cut in two at every byte, empty chunks between.
func TestChunksMayBeCutAnywhere(t *testing.T) {
	eachGolden(t, func(t *testing.T, g golden) {
		whole := bytes.Join(g.chunks, nil)
		for size := 1; size <= len(whole); size++ {
			rows, err := read(slices.Collect(slices.Chunk(whole, size))...)
			require.NoError(t, err)
			require.Equal(t, g.rows, rows, "pieces of %d bytes", size)
			rows, err = read(whole[:size], nil, whole[size:], nil)
			require.NoError(t, err)
			require.Equal(t, g.rows, rows, "cut at %d", size)
		}
	})
}

// TestEveryTruncatedPrefixAndTrailingByte: a COPY that ends early is an error, and so is one that goes on.
func TestEveryTruncatedPrefixAndTrailingByte(t *testing.T) {
	eachGolden(t, func(t *testing.T, g golden) {
		whole := bytes.Join(g.chunks, nil)
		for n := range whole {
			rows, err := read(whole[:n])
			var failed *FormatError
			require.ErrorAs(t, err, &failed)
			require.EqualValues(t, n, failed.Offset)
			require.True(t, slices.Equal(g.rows[:len(rows)], rows))
		}
		for _, tail := range []string{"\x00", "\xff\xff", string(whole)} {
			_, err := read(whole, []byte(tail))
			var failed *FormatError
			require.ErrorAs(t, err, &failed)
			require.EqualValues(t, len(whole), failed.Offset)
		}
	})
}

const header = signature + "\x00\x00\x00\x00\x00\x00\x00\x00"

func TestErrors(t *testing.T) {
	const row = "\x00\x01\x00\x00\x00\x01x"
	for _, c := range []struct {
		name, bytes string
		want        FormatError
	}{
		{"nothing", "", FormatError{0, 0, "more bytes, up to the end marker"}},
		{"text", strings.Repeat("secret\t", 4), FormatError{0, 0, "the signature of COPY binary"}},
		{"OIDs", signature + "\x00\x01\x00\x00\x00\x00\x00\x00", FormatError{0, 11, "no critical flags"}},
		{"negative extension", signature + "\x00\x00\x00\x00\xff\xff\xff\xff", FormatError{0, 15, "length of the header extension, at most 1 GiB"}},
		{"field count", header + "\xff\xfe", FormatError{1, 19, "field count from 0 to 1664, or the end marker"}},
		{"too many fields", header + "\x06\x81", FormatError{1, 19, "field count from 0 to 1664, or the end marker"}},
		{"another field count", header + row + "\x00\x02", FormatError{2, 26, "as many fields as in the rows before, or the end marker"}},
		{"negative length", header + row + "\x00\x01\xff\xff\xff\xfe", FormatError{2, 28, "field length from 0 to 1 GiB, or -1"}},
		{"huge length", header + "\x00\x01\x40\x00\x00\x01", FormatError{1, 21, "field length from 0 to 1 GiB, or -1"}},
		{"no end marker", header + row, FormatError{2, 26, "more bytes, up to the end marker"}},
		{"after the end marker", header + row + "\xff\xff" + row, FormatError{2, 28, "nothing after the end marker"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read([]byte(c.bytes))
			require.Equal(t, &c.want, err)
			require.Contains(t, cdc.Explain(err).What, c.want.Want)
		})
	}
}

// TestHeaderExtension: lower flags are ignored and an extension is passed over, however it is cut.
func TestHeaderExtension(t *testing.T) {
	whole := []byte(signature + "\x00\x00\xff\xff\x00\x00\x00\x05extra\x00\x01\x00\x00\x00\x00\xff\xff")
	for size := 1; size <= len(whole); size++ {
		rows, err := read(slices.Collect(slices.Chunk(whole, size))...)
		require.NoError(t, err)
		require.Equal(t, []string{"row ''"}, rows)
	}
}

// TestErrorOfRowStays: after it nothing more is delivered, and Close does not forget it.
func TestErrorOfRowStays(t *testing.T) {
	g := load(t, "claims")
	var r Reader
	full, calls := errors.New("full"), 0
	row := func([][]byte) error {
		calls++
		return full
	}
	require.ErrorIs(t, r.Feed(bytes.Join(g.chunks, nil), row), full)
	require.ErrorIs(t, r.Feed(g.chunks[0], row), full)
	require.ErrorIs(t, r.Close(), full)
	require.Equal(t, 1, calls)
}

// TestFieldsAliasTheChunk: no copy of a whole row, and no way to append into the next field.
func TestFieldsAliasTheChunk(t *testing.T) {
	chunk := []byte(header + "\x00\x02\x00\x00\x00\x02ab\x00\x00\x00\x01c")
	require.NoError(t, new(Reader).Feed(chunk, func(fields [][]byte) error {
		require.Same(t, &chunk[25], &fields[0][0])
		require.Equal(t, 2, cap(fields[0]))
		return nil
	}))
}

func TestWholeRowsAllocateNothing(t *testing.T) {
	g := load(t, "claims")
	var r Reader
	rows := 0
	row := func([][]byte) error {
		rows++
		return nil
	}
	require.NoError(t, r.Feed(g.chunks[0], row))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := r.Feed(g.chunks[1], row); err != nil {
			panic(err)
		}
	}))
	require.Greater(t, rows, 100)
	cut := g.chunks[1]
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if r.Feed(cut[:7], row) != nil || r.Feed(cut[7:], row) != nil {
			panic(r.err)
		}
	}), "not even rows that are cut, once the memory for them is there")
}

func TestMemoryOfAHugeRowIsGivenBack(t *testing.T) {
	var r Reader
	row := func([][]byte) error { return nil }
	value := make([]byte, 2*keepPending)
	require.NoError(t, r.Feed([]byte(header+"\x00\x01\x00\x20\x00\x00"), row))
	require.NoError(t, r.Feed(value[:keepPending], row))
	require.NoError(t, r.Feed(value[keepPending:], row))
	require.EqualValues(t, 1, r.rows)
	require.Zero(t, cap(r.pending))
}

// FuzzReader: nothing panics, and where the bytes are cut changes neither the rows nor the outcome.
func FuzzReader(f *testing.F) {
	for name := range queries {
		g := load(f, name)
		f.Add(bytes.Join(g.chunks, nil), uint16(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		rows, err := read(b)
		at := int(cut) % (len(b) + 1)
		for _, chunks := range [][][]byte{{b[:at], b[at:]}, slices.Collect(slices.Chunk(b, 1+at))} {
			again, errAgain := read(chunks...)
			if !slices.Equal(rows, again) {
				t.Fatalf("cut at %d: other rows", at)
			}
			if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
				t.Fatalf("cut at %d: %v, uncut: %v", at, errAgain, err)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	g := load(b, "claims")
	var r Reader
	row := func([][]byte) error { return nil }
	if err := r.Feed(g.chunks[0], row); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(g.chunks[1])))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Feed(g.chunks[1], row); err != nil {
			b.Fatal(err)
		}
	}
}
