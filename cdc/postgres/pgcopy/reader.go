package pgcopy

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	signature = "PGCOPY\n\xff\r\n\x00"
	// headerSize: signature, flags, length of the header extension.
	headerSize = len(signature) + 4 + 4
	// criticalFlags change the format (bit 16: OIDs before Postgres 12); the format asks readers to ignore the lower
	// bits.
	criticalFlags = 0xffff_0000
	// maxFields is Postgres' limit of columns in a result (MaxTupleAttributeNumber).
	maxFields = 1664
	// maxField is Postgres' limit of a value: a greater length is damage, which must not be waited for in memory.
	maxField = 1 << 30
	// keepPending is how much memory stays after a row that came in pieces.
	keepPending = 1 << 20
)

// stage is what comes next in the stream.
type stage byte

const (
	stageHeader stage = iota
	stageExtension
	stageRows
	stageEnd
)

// Reader takes a COPY apart as its chunks come. The zero value is ready; one Reader reads one COPY. It is for one
// goroutine.
//
// Chunks may be cut anywhere; Postgres sends one row in each, with the header in front of the first. A chunk of whole
// rows costs no allocation and no copy; what is left of a row waits in memory for its rest, so memory is bounded by the
// greatest row.
type Reader struct {
	stage stage
	// pending is the start of a header or row whose rest has not come; reading it again makes sense from need bytes on.
	pending []byte
	need    int
	skip    uint32 // counts the bytes of the header extension still to come
	// fields is reused for every row; columns is how many each has, known from the first row on.
	fields  [][]byte
	columns int
	rows    int64
	offset  int64 // the place in the COPY of the first byte not yet consumed
	err     error
}

// Feed reads one chunk and calls row for each row that is complete with it. A nil field is NULL; an empty field is an
// empty value, not nil. Fields and their list are pieces of the chunk and of the Reader: they hold only until row
// returns. An error of row is returned as it is. After an error nothing more is read: every later Feed and Close return
// the same error.
func (r *Reader) Feed(chunk []byte, row func(fields [][]byte) error) error {
	if r.err == nil {
		r.err = r.feed(chunk, row)
	}
	return r.err
}

// Close says whether the COPY was complete: an end without Postgres' end marker is a *FormatError.
func (r *Reader) Close() error {
	if r.err == nil && r.stage != stageEnd {
		r.err = r.wrong(len(r.pending), "more bytes, up to the end marker")
	}
	return r.err
}

func (r *Reader) feed(chunk []byte, row func(fields [][]byte) error) error {
	b := chunk
	if len(r.pending) > 0 {
		r.pending = append(r.pending, chunk...)
		b = r.pending
		if len(b) < r.need {
			return nil
		}
	}
	used, err := r.consume(b, row)
	clear(r.fields)
	if err != nil {
		return err
	}
	r.keep(b[used:])
	return nil
}

// keep holds what is left until more comes; rest may be a piece of pending itself.
func (r *Reader) keep(rest []byte) {
	if len(rest) == 0 && cap(r.pending) > keepPending {
		r.pending = nil
		return
	}
	r.pending = append(r.pending[:0], rest...)
}

// consume reads as many whole units as b holds and says how many bytes they had.
func (r *Reader) consume(b []byte, row func(fields [][]byte) error) (int, error) {
	used := 0
	for used < len(b) {
		n, err := r.unit(b[used:], row)
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		r.offset += int64(n)
	}
	return used, nil
}

// unit reads a header, a piece of its extension, a row or the end marker; 0 means that b does not hold all of it.
func (r *Reader) unit(b []byte, row func(fields [][]byte) error) (int, error) {
	switch r.stage {
	case stageHeader:
		return r.header(b)
	case stageExtension:
		return r.extension(b), nil
	case stageRows:
		return r.row(b, row)
	case stageEnd:
		return 0, r.wrong(0, "nothing after the end marker")
	}
	panic("pgcopy: a stage that does not exist")
}

func (r *Reader) header(b []byte) (int, error) {
	if len(b) < headerSize {
		r.need = headerSize
		return 0, nil
	}
	if string(b[:len(signature)]) != signature {
		return 0, r.wrong(0, "the signature of COPY binary")
	}
	if binary.BigEndian.Uint32(b[len(signature):])&criticalFlags != 0 {
		return 0, r.wrong(len(signature), "no critical flags")
	}
	r.skip = binary.BigEndian.Uint32(b[len(signature)+4:])
	if r.skip > maxField {
		return 0, r.wrong(len(signature)+4, "length of the header extension, at most 1 GiB")
	}
	r.stage = stageExtension
	if r.skip == 0 {
		r.stage = stageRows
	}
	return headerSize, nil
}

// extension passes over bytes, as the format asks readers that know no extension to do.
func (r *Reader) extension(b []byte) int {
	n := min(len(b), int(r.skip))
	r.skip -= uint32(n) //nolint:gosec // n is at most skip
	if r.skip == 0 {
		r.stage = stageRows
	}
	return n
}

func (r *Reader) row(b []byte, row func(fields [][]byte) error) (int, error) {
	if len(b) < 2 {
		r.need = 2
		return 0, nil
	}
	count := int(int16(binary.BigEndian.Uint16(b))) //nolint:gosec // -1 is the end marker
	if count == -1 {
		r.stage = stageEnd
		return 2, nil
	}
	if count < 0 || count > maxFields {
		return 0, r.wrong(0, "field count from 0 to 1664, or the end marker")
	}
	if r.rows > 0 && count != r.columns {
		return 0, r.wrong(0, "as many fields as in the rows before, or the end marker")
	}
	n, err := r.split(b, count)
	if err != nil || n == 0 {
		return 0, err
	}
	r.columns = count
	r.rows++
	return n, row(r.fields)
}

// split cuts a row into its fields and says how long it is; 0 if b does not hold all of it.
func (r *Reader) split(b []byte, count int) (int, error) {
	r.fields = slices.Grow(r.fields[:0], count)[:count]
	at := 2
	for i := range r.fields {
		if len(b)-at < 4 {
			r.need = at + 4
			return 0, nil
		}
		length := int(int32(binary.BigEndian.Uint32(b[at:]))) //nolint:gosec // -1 is NULL
		if length < -1 || length > maxField {
			return 0, r.wrong(at, "field length from 0 to 1 GiB, or -1")
		}
		at += 4
		if length == -1 {
			r.fields[i] = nil
			continue
		}
		if len(b)-at < length {
			r.need = at + length
			return 0, nil
		}
		r.fields[i] = b[at : at+length : at+length]
		at += length
	}
	return at, nil
}

// wrong makes the error for the byte at that distance after the last whole unit.
func (r *Reader) wrong(at int, want string) error {
	e := &FormatError{Offset: r.offset + int64(at), Want: want}
	if r.stage == stageRows || r.stage == stageEnd {
		e.Row = r.rows + 1
	}
	return e
}

// FormatError says where the bytes stopped being the binary format. It carries nothing of the content, so it may be
// logged. The rows before Row have been delivered and are right.
type FormatError struct {
	Row    int64  // counts from 1; 0 in the header. After the last row it is the row that would have been next.
	Offset int64  // counts bytes from the start of the COPY
	Want   string // what the format has at Offset
}

// Error writes one line: row, offset, what was expected.
func (e *FormatError) Error() string {
	return fmt.Sprintf("read COPY binary, row %d at byte %d: want %s", e.Row, e.Offset, e.Want)
}
