package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres/pgoutput"
	"dirtbike/docker/embedded/embeddedtest"
)

// wire writes messages as a server does.
type wire struct{ bytes.Buffer }

func (w *wire) message(kind byte, body string) {
	w.WriteByte(kind)
	_ = binary.Write(w, binary.BigEndian, int32(len(body)+4))
	w.WriteString(body)
}

// change writes an XLogData frame with what pgoutput says.
func (w *wire) change(parts ...string) {
	w.message(copyData, "w"+strings.Repeat("\x00", frameHeader-1)+strings.Join(parts, ""))
}

// rowOf writes a tuple in text: n is NULL, u unchanged, anything else a value.
func rowOf(marker string, values ...string) string {
	out := marker + string(binary.BigEndian.AppendUint16(nil, uint16(len(values))))
	for _, v := range values {
		if v == "n" || v == "u" {
			out += v
			continue
		}
		out += "t" + string(binary.BigEndian.AppendUint32(nil, uint32(len(v)))) + v
	}
	return out
}

const ofRelation = "\x00\x00\x00\x07"

func sized(n int) string { return strings.Repeat("v", n) }

// stuttering gives its bytes a few at a time, and between them the error of a deadline that has passed.
type stuttering struct {
	from io.Reader
	rnd  *rand.Rand
}

func (s *stuttering) Read(p []byte) (int, error) {
	if s.rnd.IntN(3) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return s.from.Read(p[:min(len(p), 1+s.rnd.IntN(40))])
}

// received gives in short what a replication session gets from the bytes. A value that was left out is its size.
func received(t *testing.T, from io.Reader, most int) (events []string) {
	t.Helper()
	frontend := pgproto3.NewFrontend(&shortening{from: newReader(from), most: most}, io.Discard)
	frontend.SetMaxBodyLen(most + 200)
	var decoder pgoutput.Events
	for {
		m, err := frontend.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case errors.Is(err, io.ErrUnexpectedEOF):
			return events
		}
		require.NoError(t, err)
		data, is := m.(*pgproto3.CopyData)
		if !is {
			events = append(events, fmt.Sprintf("%T", m))
			continue
		}
		var e cdc.Event
		ok, _, err := decoder.Decode(data.Data, &e)
		require.NoError(t, err)
		if !ok {
			events = append(events, "nothing")
			continue
		}
		for _, tuple := range []cdc.Tuple{e.Old, e.New} {
			for i, d := range tuple {
				if d.Kind == cdc.DatumTooLarge {
					tuple[i] = cdc.Datum{Kind: cdc.DatumText, Data: fmt.Append(nil, "-", binary.BigEndian.Uint32(d.Data))}
				} else if len(d.Data) > 9 {
					tuple[i].Data = fmt.Append(nil, len(d.Data))
				}
			}
		}
		events = append(events, text(&e))
	}
}

// TestLargeRowsAreShortened: of a message beyond the bound the largest values are left out, and nothing else, wherever
// reads end or fail; all other messages come as they are.
func TestLargeRowsAreShortened(t *testing.T) {
	const most = 1000
	var w wire
	w.message('N', "SNOTICE\x00\x00")
	w.change("I", ofRelation, rowOf("N", "1", sized(500), "n"))
	w.change("I", ofRelation, rowOf("N", "2", sized(most), "n", "u", "two"))
	w.change("I", ofRelation, rowOf("N", "3", sized(600), sized(450), sized(300), "three"))
	w.change("I", ofRelation, rowOf("N", "4", sized(300), sized(450), sized(600)))
	w.change("I", ofRelation, rowOf("N", "5", sized(400), sized(5000), sized(400)))
	w.change("U", ofRelation, rowOf("O", "5", sized(400), "n"), rowOf("N", "6", sized(999), "u"))
	w.change("U", ofRelation, rowOf("N", "6", sized(999)))
	w.change("D", ofRelation, rowOf("O", "6", sized(20_000)))
	w.change("M", "\x00", "12345678", "prefix\x00", string(binary.BigEndian.AppendUint32(nil, 3000)), sized(3000))
	w.change("M", "\x00", "12345678", sized(3000), "\x00", "\x00\x00\x00\x00")
	w.change("D", ofRelation, rowOf("K", "7"))
	w.message('c', "")
	want := []string{
		"*pgproto3.NoticeResponse", "I 1,500,<n>", "I 2,-1000,<n>,<u>,two", "I 3,-600,450,300,three", "I 4,300,450,-600", "I 5,400,-5000,400",
		"U O(5,400,<n>) 6,-999,<u>", "U 6,-999", "D O(6,-20000)", "nothing", "nothing", "D K(7)", "*pgproto3.CopyDone",
	}
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	stutter := &stuttering{bytes.NewReader(w.Bytes()), rand.New(rand.NewPCG(uint64(seed), 1))}
	for name, from := range map[string]io.Reader{
		"whole": bytes.NewReader(w.Bytes()), "bytes": iotest.OneByteReader(bytes.NewReader(w.Bytes())),
		"end with the data": iotest.DataErrReader(bytes.NewReader(w.Bytes())), "deadlines": stutter,
	} {
		require.Equal(t, want, received(t, from, most), name)
	}
}

// TestDamagedLargeRows: a row whose parts do not fit into it, and a message that no server sends, end the session.
func TestDamagedLargeRows(t *testing.T) {
	whole := rowOf("N", "1", sized(2000), "2")
	for name, body := range map[string]string{
		"a value beyond the row":        ofRelation + rowOf("N", "1") + rowOf("N", sized(1200))[:1100],
		"columns that do not come":      ofRelation + strings.Replace(whole, "\x00\x03", "\x00\x09", 1),
		"a tuple's head is cut off":     ofRelation + whole + "N",
		"a length that is cut off":      ofRelation + whole[:len(whole)-3],
		"a description of a relation":   "",
		"no frame of a replicated slot": "",
	} {
		var w wire
		switch name {
		case "a description of a relation":
			w.change("R", sized(2000))
		case "no frame of a replicated slot":
			w.message(copyData, sized(2000))
		default:
			w.change("I", body)
		}
		frontend := pgproto3.NewFrontend(&shortening{from: newReader(&w), most: 1000}, io.Discard)
		_, err := frontend.Receive()
		require.Error(t, err, name)
		require.NotErrorIs(t, err, io.ErrUnexpectedEOF, name)
	}
}

// TestTooLargeMessages: what is announced beyond the bound of any session is not read, and says what to do.
func TestTooLargeMessages(t *testing.T) {
	for _, kind := range "DdEN" {
		header := append([]byte{byte(kind)}, 0x3f, 0xff, 0xff, 0xff)
		login := Login{MaxRecord: 16 << 20}
		_, err := login.bounded(bytes.NewReader(header), io.Discard).Receive()
		require.NotEmpty(t, TooLarge(fmt.Errorf("read: %w", err)).Remedies())
		if kind != copyData {
			_, err = login.shortening(bytes.NewReader(header), io.Discard).Receive()
			require.NotNil(t, TooLarge(err))
		}
	}
	require.Nil(t, TooLarge(io.ErrUnexpectedEOF))
}

// TestLargeRows: a row of 200 MB of the log is not taken into memory; those after it come.
// No other test runs beside it, since what all of the process allocates is measured.
func TestLargeRows(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { largeRows(t, newRig(t, embeddedtest.Postgres(t, version, nil))) })
	}
}

func largeRows(t *testing.T, r *rig) {
	const size = 200_000_000
	r.exec(t, "ALTER TABLE t REPLICA IDENTITY FULL")
	st, _ := r.open(t, false)
	r.exec(t, fmt.Sprintf("INSERT INTO t VALUES (1, repeat('x', %d))", size), "UPDATE t SET id = 2 WHERE id = 1")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	large := fmt.Sprintf("<%c>", cdc.DatumTooLarge)
	require.Equal(t, []string{"B", "I 1," + large, "C", "B", "U O(1," + large + ") 2,<u>", "C"}, until(t, st, commits(2)))

	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/4), "all that was ever allocated")

	r.exec(t, "DELETE FROM t", "INSERT INTO t VALUES (3, 'small')")
	require.Equal(t, []string{"B", "D O(2," + large + ")", "C", "B", "I 3,small", "C"}, until(t, st, commits(2)))
}
