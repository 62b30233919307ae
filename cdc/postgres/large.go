package postgres

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"dirtbike/cdc"
)

const (
	leastMaxRecord = 8 << 20
	// besideRecord is what a message may have beyond the values of a row, and what a shortened one may have beyond the
	// bound: five bytes for each value of two rows.
	besideRecord = 1 << 20
)

// maxMessage is the most bytes of one message of the server that are read into memory. In text a value takes at most
// about twice the bytes that it has in a record (bytea).
func (l Login) maxMessage() int { return 2*max(l.MaxRecord, leastMaxRecord) + besideRecord }

// bounded makes the reader of a session: a message beyond maxMessage ends the connection before it is read (TooLarge).
func (l Login) bounded(r io.Reader, w io.Writer) *pgproto3.Frontend {
	frontend := pgproto3.NewFrontend(r, w)
	frontend.SetMaxBodyLen(l.maxMessage())
	return frontend
}

// shortening makes the reader of a replication session, where larger rows come shorter.
func (l Login) shortening(r io.Reader, w io.Writer) *pgproto3.Frontend {
	frontend := pgproto3.NewFrontend(&shortening{from: newReader(r), most: l.maxMessage()}, w)
	frontend.SetMaxBodyLen(l.maxMessage() + besideRecord)
	return frontend
}

const readBuffer = 64 << 10

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, readBuffer) }

// TooLarge explains the end of a session whose server sent a row that is not read into memory; nil for other errors.
func TooLarge(err error) *cdc.Problem {
	var large *pgproto3.ExceededMaxBodyLenErr
	if !errors.As(err, &large) {
		return nil
	}
	return cdc.TooLarge("a row of %d bytes is larger than any record may be, and was not read", large.ActualBodyLen)
}

// shortening passes on what the server sends on a replication connection, and makes rows smaller that are larger than a
// bound: their message may have a gigabyte, most of it in a value that no record can carry, or that is withheld. The
// largest values are left out while they arrive, until the rest fits. In the place of each is its size, as
// cdc.DatumTooLarge: where a record needs the value the encoder refuses it, and its table is quarantined.
//
// A read may fail at any byte, because Stream.Wake sets a deadline, and is repeated. So all that is known of a row is
// in its largeRow, and a step that fails has taken no bytes that it does not account for.
//
// Rejected: to end the connection at such a row, since every new one would meet it again, before all other tables.
type shortening struct {
	from  *bufio.Reader
	most  int
	pass  int       // bytes of the present message that are still to be passed on as they are
	row   *largeRow // the one that is arriving; nil if none is
	ready []byte    // a shortened message that is still to be passed on
}

// messageHeader is a message's type and its length, which counts itself.
const messageHeader = 1 + 4

// Read implements io.Reader. It waits for bytes only if it has none to give.
func (s *shortening) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		switch {
		case len(s.ready) > 0:
			n += s.give(p[n:])
		case n > 0 && (s.row != nil || s.from.Buffered() < messageHeader):
			return n, nil
		case s.pass > 0:
			var got int
			got, err = s.from.Read(p[n:min(len(p), n+s.pass)])
			n, s.pass = n+got, s.pass-got
		case s.row != nil:
			err = s.goOn()
		default:
			err = s.begin()
		}
	}
	return n, err
}

// give passes on a piece of the shortened message.
func (s *shortening) give(p []byte) int {
	n := copy(p, s.ready)
	if s.ready = s.ready[n:]; len(s.ready) == 0 {
		s.ready = nil // it may be large
	}
	return n
}

// begin looks at the header of the next message.
func (s *shortening) begin() error {
	header, err := s.from.Peek(messageHeader)
	if err != nil {
		return err
	}
	size := int(int32(binary.BigEndian.Uint32(header[1:]))) - 4 //nolint:gosec // below 0 it is refused where the message is read
	if header[0] != copyData || size <= s.most {
		s.pass = messageHeader + max(size, 0)
		return nil
	}
	s.row = &largeRow{from: s.from, left: size, most: s.most, out: make([]byte, messageHeader)}
	_, err = s.from.Discard(messageHeader)
	return err
}

const copyData = 'd'

// goOn takes the next bytes of a large row.
func (s *shortening) goOn() error {
	if err := s.row.step(); err != nil || !s.row.whole() {
		return err
	}
	s.ready, s.row = s.row.out, nil
	s.ready[0] = copyData
	binary.BigEndian.PutUint32(s.ready[1:], uint32(len(s.ready)-1)) //nolint:gosec // at most the bound and besideRecord
	return nil
}

// largeRow is the message of a row that is being shortened.
type largeRow struct {
	from       *bufio.Reader
	left       int // bytes of the message that have not come
	most       int
	out        []byte      // the shorter message, with room for its header
	begun      bool        // its beginning has come
	columns    int         // of the present tuple that have not come
	keep, skip int         // bytes of the present value that are kept, or left out
	values     []keptValue // those in out
}

// keptValue is a value in a shorter message: its kind is at that place, then its length, then so many bytes.
type keptValue struct{ at, size int }

// valueHeader is the kind and the length of a value.
const valueHeader = 1 + 4

func (r *largeRow) whole() bool { return r.begun && r.left == 0 && r.columns == 0 }

// step takes what comes next: pgoutput's Insert, Update or Delete in an XLogData frame.
func (r *largeRow) step() error {
	switch {
	case r.skip > 0:
		n, err := r.from.Discard(min(r.skip, readBuffer))
		r.skip, r.left = r.skip-n, r.left-n
		return err
	case r.keep > 0:
		at := len(r.out)
		r.out = slices.Grow(r.out, r.keep)
		n, err := r.from.Read(r.out[at : at+r.keep])
		r.out, r.keep, r.left = r.out[:at+n], r.keep-n, r.left-n
		return err
	case r.columns > 0:
		return r.column()
	case r.begun:
		return r.tuple()
	}
	return r.begin()
}

// peek gives the next bytes, which stay where they are.
func (r *largeRow) peek(n int) ([]byte, error) {
	if n > r.left {
		return nil, errors.New("replication: a row of the server ends before its last value")
	}
	return r.from.Peek(n)
}

// take takes bytes that were peeked, and passes them on.
func (r *largeRow) take(b []byte) error {
	r.out, r.left = append(r.out, b...), r.left-len(b)
	_, err := r.from.Discard(len(b))
	return err
}

const (
	frameHeader = 1 + 3*8 // of XLogData: its kind, two places in the log, a time
	// messageStart is the kind of a logical message, its flags and its place in the log; prefix and content follow.
	messageStart = 1 + 1 + 8
)

// begin takes the frame's header and the kind of what is in it.
func (r *largeRow) begin() error {
	b, err := r.peek(frameHeader + messageStart)
	if err != nil {
		return err
	}
	kind := b[frameHeader]
	switch {
	case b[0] != 'w':
	case strings.IndexByte("IUD", kind) >= 0:
		r.begun = true
		return r.take(b[:frameHeader+1+4]) // and the relation
	case kind == 'M': // pg_logical_emit_message, which anybody may call: nothing of it counts
		r.begun = true
		err := r.take(b)
		r.out = append(r.out, 0, 0, 0, 0, 0) // no prefix, and 0 bytes
		r.skip = r.left
		return err
	}
	return fmt.Errorf("replication: a message of kind 0x%02x has %d bytes, which none has", kind, r.left)
}

// tuple takes the head of a tuple.
func (r *largeRow) tuple() error {
	b, err := r.peek(1 + 2)
	if err != nil {
		return err
	}
	r.columns = int(binary.BigEndian.Uint16(b[1:]))
	return r.take(b)
}

// column takes a value's kind and length, and decides whether the value is kept.
func (r *largeRow) column() error {
	b, err := r.peek(1)
	if err != nil {
		return err
	}
	if kind := cdc.DatumKind(b[0]); kind != cdc.DatumText && kind != cdc.DatumBinary {
		r.columns--
		return r.take(b)
	}
	if b, err = r.peek(valueHeader); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(b[1:]))
	if size > r.left-valueHeader {
		return errors.New("replication: a value of the server ends after its row")
	}
	r.columns--
	if r.fits(valueHeader + size) {
		r.values, r.keep = append(r.values, keptValue{len(r.out), size}), size
		return r.take(b)
	}
	at := len(r.out)
	err = r.take(b)
	r.out[at], r.skip = byte(cdc.DatumTooLarge), size
	return err
}

// fits makes room for so many bytes, for which values are left out that are larger; false if there are none.
func (r *largeRow) fits(size int) bool {
	for len(r.out)+size > r.most {
		largest := -1
		for i, v := range r.values {
			if v.size >= size && (largest < 0 || v.size > r.values[largest].size) {
				largest = i
			}
		}
		if largest < 0 {
			return false
		}
		r.leaveOut(largest)
	}
	return true
}

// leaveOut takes a kept value out again; its length stays.
func (r *largeRow) leaveOut(i int) {
	v := r.values[i]
	r.out[v.at] = byte(cdc.DatumTooLarge)
	r.out = slices.Delete(r.out, v.at+valueHeader, v.at+valueHeader+v.size)
	r.values = slices.Delete(r.values, i, i+1)
	for later := range r.values[i:] {
		r.values[i+later].at -= v.size
	}
}
