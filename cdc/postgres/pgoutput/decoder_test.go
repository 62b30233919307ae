package pgoutput

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestGoldens decodes every recorded message to exactly the text recorded with it.
func TestGoldens(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			g := load(t, s)
			require.Equal(t, g.words, g.describe(t))
		})
	}
}

// TestGoldensCoverTheProtocol fails if a recording lost a kind of message or a way to send a value.
func TestGoldensCoverTheProtocol(t *testing.T) {
	seen, columns, olds := map[Kind]bool{}, map[cdc.DatumKind]bool{}, map[string]bool{}
	note := func(tuples ...cdc.Tuple) {
		for _, tuple := range tuples {
			for _, c := range tuple {
				columns[c.Kind] = true
			}
		}
	}
	for _, g := range messageGoldens(t) {
		g.each(t, func(_ int, _ []byte, _ bool, m Message) {
			seen[kindOf(m)] = true
			switch m := m.(type) {
			case *Insert:
				note(m.New)
			case *Update:
				note(m.Old, m.New)
				olds["update "+oldName(m.OldKind)] = true
			case *Delete:
				note(m.Old)
				olds["delete "+oldName(m.OldKind)] = true
			case *StreamAbort:
				if m.SubXID != m.XID {
					olds["abort of a sub-transaction"] = true
				}
			}
		})
	}
	for b := range 256 {
		require.Equal(t, kinds[b].place != unknownKind, seen[Kind(b)], Kind(b).String())
	}
	require.Len(t, columns, 4)
	require.Equal(t, []string{"abort of a sub-transaction", "delete full", "delete key", "update full", "update key", "update none"},
		slices.Sorted(maps.Keys(olds)))
}

func messageGoldens(t testing.TB) []golden {
	return slices.DeleteFunc(loadAll(t), func(g golden) bool { return g.scenario.frames })
}

// TestEveryTruncatedPrefixAndTrailingByte: a message cut anywhere, or followed by anything, is an error.
func TestEveryTruncatedPrefixAndTrailingByte(t *testing.T) {
	for _, g := range messageGoldens(t) {
		cut := g.decoder()
		g.each(t, func(i int, b []byte, streaming bool, _ Message) {
			for n := range b {
				m, err := cut.Decode(b[:n:n], streaming)
				requireDecodeError(t, err, n)
				require.Nil(t, m, "%s, message %d, first %d bytes", g.scenario.name, i, n)
			}
			for _, tail := range []string{"\x00", "N", "\xff", "\x00\x00\x00\x00", string(b)} {
				m, err := cut.Decode(append(bytes.Clone(b), tail...), streaming)
				requireDecodeError(t, err, len(b))
				require.Nil(t, m)
			}
		})
	}
}

func requireDecodeError(t *testing.T, err error, offsetAtMost int) {
	t.Helper()
	var failed *DecodeError
	require.ErrorAs(t, err, &failed)
	require.LessOrEqual(t, failed.Offset, offsetAtMost)
	require.NotEmpty(t, failed.Want)
}

func TestErrorsNameKindOffsetAndExpectation(t *testing.T) {
	const lsn, time8 = "\x00\x00\x00\x00\x00\x00\x00\x01", "\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct {
		name, bytes string
		streaming   bool
		want        DecodeError
	}{
		{"nothing", "", false, DecodeError{"message", 0, "message kind"}},
		{"unknown kind", "Zsecret", false, DecodeError{"message of kind 0x5a", 0, "a message kind of protocol versions 1 to 4, without two_phase"}},
		{"begin in a stream", "B" + lsn + time8 + "\x00\x00\x00\x01", true, DecodeError{"begin", 0, "a message that may come between stream start and stream stop"}},
		{"stop outside a stream", "E", false, DecodeError{"stream stop", 0, "a stream start before it"}},
		{"begin without LSN", "B" + time8 + time8 + "\x00\x00\x00\x01", false, DecodeError{"begin", 1, "LSN of commit, 8 bytes, not 0"}},
		{"begin without transaction", "B" + lsn + time8 + "\x00\x00\x00\x00", false, DecodeError{"begin", 17, "transaction id other than 0"}},
		{"commit flags", "C\x01" + lsn + lsn + time8, false, DecodeError{"commit", 1, "commit flags 0"}},
		{"no tuple marker", "I\x00\x00\x00\x01Xsecret", false, DecodeError{"insert", 5, "tuple marker N"}},
		{"insert with a key", "I\x00\x00\x00\x01K\x00\x00", false, DecodeError{"insert", 5, "tuple marker N"}},
		{"delete with a new row", "D\x00\x00\x00\x01N\x00\x00", false, DecodeError{"delete", 5, "tuple marker K or O"}},
		{"update without a new row", "U\x00\x00\x00\x01K\x00\x00K\x00\x00", false, DecodeError{"update", 8, "tuple marker N"}},
		{"column kind", "I\x00\x00\x00\x01N\x00\x01secret", false, DecodeError{"insert", 8, "column kind n, u, t or b"}},
		{"second column kind", "I\x00\x00\x00\x01N\x00\x02n\x00", false, DecodeError{"insert", 9, "column kind n, u, t or b"}},
		{"too many columns", "I\x00\x00\x00\x01N\xff\xffn", false, DecodeError{"insert", 6, "column count that the message can hold"}},
		{"value too long", "I\x00\x00\x00\x01N\x00\x01t\x00\x00\x00\x07secret", false, DecodeError{"insert", 9, "length of column value that the message can hold"}},
		{"negative length", "I\x00\x00\x00\x01N\x00\x01t\xff\xff\xff\xffsecret", false, DecodeError{"insert", 9, "length of column value that the message can hold"}},
		{"too many relations", "T\x7f\xff\xff\xff\x00\x00\x00\x00\x01", false, DecodeError{"truncate", 1, "relation count that the message can hold"}},
		{"truncate flags", "T\x00\x00\x00\x01\x04\x00\x00\x00\x01", false, DecodeError{"truncate", 5, "truncate flags 0 to 3"}},
		{"identity", "R\x00\x00\x00\x01s\x00t\x00x\x00\x00", false, DecodeError{"relation", 9, "replica identity d, n, f or i"}},
		{"too many relation columns", "R\x00\x00\x00\x01s\x00t\x00d\xff\xff", false, DecodeError{"relation", 10, "column count that the message can hold"}},
		{"column flags", "R\x00\x00\x00\x01s\x00t\x00d\x00\x01\x02c\x00\x00\x00\x00\x17\xff\xff\xff\xff", false, DecodeError{"relation", 12, "column flags 0 or 1"}},
		{"unfinished name", "Y\x00\x00\x00\x01public", false, DecodeError{"type", 5, "namespace"}},
		{"message flags", "M\x02" + lsn + "p\x00\x00\x00\x00\x00", false, DecodeError{"logical message", 1, "message flags 0 or 1"}},
		{"content too long", "M\x01" + lsn + "p\x00\x00\x00\x00\x02s", false, DecodeError{"logical message", 12, "length of content that the message can hold"}},
		{"first segment", "S\x00\x00\x00\x01\x02", false, DecodeError{"stream start", 5, "first segment 0 or 1"}},
		{"abort with the LSN of parallel mode", "A\x00\x00\x00\x01\x00\x00\x00\x01" + lsn + time8, false, DecodeError{"stream abort", 9, "end of message"}},
		{"two_phase", "P\x00" + lsn + lsn + time8 + "\x00\x00\x00\x01g\x00", false, DecodeError{"message of kind 0x50", 0, "a message kind of protocol versions 1 to 4, without two_phase"}},
		{"trailing byte", "I\x00\x00\x00\x01N\x00\x01nn", false, DecodeError{"insert", 9, "end of message"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := new(Decoder).Decode([]byte(c.bytes), c.streaming)
			require.Equal(t, &c.want, err)
			require.Contains(t, cdc.Explain(err).What, c.want.Want)
			require.Nil(t, m)
		})
	}
}

// TestHugeCountsAllocateNothing: what a damaged count claims is compared with what is there before memory is taken.
func TestHugeCountsAllocateNothing(t *testing.T) {
	b := append([]byte("T\xff\xff\xff\xff\x00"), make([]byte, 64)...)
	allocated := testing.Benchmark(func(b2 *testing.B) {
		b2.ReportAllocs()
		for b2.Loop() {
			_, err := new(Decoder).Decode(b, false)
			require.Error(b2, err)
		}
	}).AllocedBytesPerOp()
	require.Less(t, allocated, int64(4096))
}

// TestTuplesAliasTheInput: values are pieces of the input that cannot be appended into their neighbours, and the
// decoder lets go of them at the next call.
func TestTuplesAliasTheInput(t *testing.T) {
	d := new(Decoder)
	b := []byte("I\x00\x00\x00\x01N\x00\x03t\x00\x00\x00\x02abt\x00\x00\x00\x00n")
	m, err := d.Decode(b, false)
	require.NoError(t, err)
	columns := m.(*Insert).New
	require.Same(t, &b[13], &columns[0].Data[0])
	require.Equal(t, 2, cap(columns[0].Data))
	require.NotNil(t, columns[1].Data, "an empty value is not nil")
	require.Empty(t, columns[1].Data)
	require.Nil(t, columns[2].Data)

	_, err = d.Decode([]byte("D\x00\x00\x00\x01K\x00\x00"), false)
	require.NoError(t, err)
	for _, c := range columns {
		require.Nil(t, c.Data)
	}
}

// TestRareMessagesOwnTheirBytes: they stay right when the input is overwritten.
func TestRareMessagesOwnTheirBytes(t *testing.T) {
	for _, g := range messageGoldens(t) {
		d, streaming := g.decoder(), false
		for i, b := range g.messages {
			b = bytes.Clone(b)
			m, err := d.Decode(b, streaming)
			require.NoError(t, err)
			clear(b)
			switch m.(type) {
			case *Insert, *Update, *Delete:
			case *StreamStart:
				streaming = true
			case *StreamStop:
				streaming = false
			default:
				require.Equal(t, g.words[i], describe(m))
			}
		}
	}
}

func TestTimestamp(t *testing.T) {
	require.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), Timestamp(0).Time())
	require.Equal(t, time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), Timestamp(-1).Time())
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC), Timestamp(820_638_245_678_901).Time())
}

func TestParseFrame(t *testing.T) {
	s := scenarios[slices.IndexFunc(scenarios, func(s scenario) bool { return s.frames })]
	g := load(t, s)
	kinds := map[FrameKind]bool{}
	asked := false
	for _, b := range g.messages {
		f, err := ParseFrame(b)
		require.NoError(t, err)
		kinds[f.Kind] = true
		asked = asked || f.ReplyRequested
		header := len(b) - len(f.Data)
		for n := range header {
			_, err := ParseFrame(b[:n:n])
			requireDecodeError(t, err, n)
		}
		if f.Kind == FrameKeepalive {
			_, err := ParseFrame(append(bytes.Clone(b), 0))
			requireDecodeError(t, err, len(b))
			continue
		}
		_, err = new(Decoder).Decode(f.Data, false)
		require.NoError(t, err)
		require.Same(t, &b[25], &f.Data[0])
	}
	require.Len(t, kinds, 2)
	require.True(t, asked, "no keepalive that requests a reply was recorded")
}

func TestParseFrameErrors(t *testing.T) {
	keepalive := append(binary.BigEndian.AppendUint64([]byte("k"), 1), make([]byte, 8)...)
	for frame, want := range map[string]DecodeError{
		"":                         {"frame", 0, "frame kind"},
		"xsecret":                  {"frame of kind 0x78", 0, "frame kind w or k"},
		"w1234567":                 {"XLogData frame", 1, "start LSN (8 bytes)"},
		string(keepalive):          {"keepalive frame", 17, "reply requested 0 or 1"},
		string(keepalive) + "\x02": {"keepalive frame", 17, "reply requested 0 or 1"},
	} {
		_, err := ParseFrame([]byte(frame))
		require.Equal(t, &want, err)
	}
}

// TestRowPathAllocatesNothing covers each message that a busy stream is made of, frame included.
func TestRowPathAllocatesNothing(t *testing.T) {
	hot := []Kind{KindBegin, KindCommit, KindInsert, KindUpdate, KindDelete, KindStreamStart, KindStreamStop, KindStreamCommit, KindStreamAbort}
	for _, g := range messageGoldens(t) {
		d := g.decoder()
		frame := make([]byte, 25, 64<<10)
		frame[0] = byte(FrameXLogData)
		g.each(t, func(i int, b []byte, streaming bool, m Message) {
			if !slices.Contains(hot, kindOf(m)) {
				return
			}
			whole := append(frame, b...)
			allocations := testing.AllocsPerRun(20, func() {
				f, err := ParseFrame(whole)
				if err == nil {
					_, err = d.Decode(f.Data, streaming)
				}
				if err != nil {
					panic(err)
				}
			})
			require.Zero(t, allocations, "%s, message %d: %s", g.scenario.name, i, kindOf(m))
		})
	}
}

// TestNoErrorHoldsContent plants a word in every place where a row may hold one and damages the message everywhere.
func TestNoErrorHoldsContent(t *testing.T) {
	const canary = "canary-4711"
	value := "t\x00\x00\x00\x0b" + canary
	b := []byte("U\x00\x00\x00\x01O\x00\x02" + value + value + "N\x00\x02" + value + value)
	d := new(Decoder)
	_, err := d.Decode(b, false)
	require.NoError(t, err)
	for i := range b {
		for _, damage := range []byte{0, 1, 0x7f, 0xff} {
			damaged := bytes.Clone(b)
			damaged[i] = damage
			if _, err := d.Decode(damaged, false); err != nil {
				require.False(t, strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "4711"), err.Error())
			}
		}
	}
}
