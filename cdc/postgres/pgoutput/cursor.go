package pgoutput

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"dirtbike/cdc"
)

// cursor walks over one message. The first failure is kept and empties the rest, so that a run of reads needs one check
// at the end; what is read after a failure is zero. (Where an offset is needed, it is taken in a statement of its own:
// Go does not say whether `at, v := c.at, c.u8(…)` reads c.at before the call.)
type cursor struct {
	b  []byte
	at int
	// want is what was missing at wantAt; "" while nothing is.
	want   string
	wantAt int
}

func (c *cursor) fail(want string) { c.failAt(c.at, want) }

func (c *cursor) failAt(at int, want string) {
	if c.want == "" {
		c.want, c.wantAt = want, at
	}
	c.b, c.at = nil, 0
}

func (c *cursor) left() int { return len(c.b) - c.at }

// take gives the next n bytes, at most 8.
func (c *cursor) take(n int, want string) []byte {
	if len(c.b)-c.at < n {
		c.failAt(c.at, want)
		return zeros[:]
	}
	c.at += n
	return c.b[c.at-n:]
}

var zeros [8]byte

func (c *cursor) u8(want string) byte    { return c.take(1, want)[0] }
func (c *cursor) u16(want string) uint16 { return binary.BigEndian.Uint16(c.take(2, want)) }
func (c *cursor) u32(want string) uint32 { return binary.BigEndian.Uint32(c.take(4, want)) }
func (c *cursor) u64(want string) uint64 { return binary.BigEndian.Uint64(c.take(8, want)) }

// oneOf reads a byte that must be one of those in set.
func (c *cursor) oneOf(set, want string) byte {
	at := c.at
	v := c.u8(want)
	if strings.IndexByte(set, v) < 0 {
		c.failAt(at, want)
		return 0
	}
	return v
}

// flags reads a byte that may have only the bits of known: another bit would mean something this decoder does not do.
func (c *cursor) flags(known byte, want string) byte {
	at := c.at
	v := c.u8(want)
	if v&^known != 0 {
		c.failAt(at, want)
		return 0
	}
	return v
}

// xid reads a transaction's id; 0 is never one.
func (c *cursor) xid() uint32 {
	at := c.at
	v := c.u32("transaction id (4 bytes)")
	if v == 0 {
		c.failAt(at, "transaction id other than 0")
	}
	return v
}

// lsn reads a position that Postgres always knows, so 0 is an error.
func (c *cursor) lsn(want string) cdc.LSN {
	at := c.at
	v := cdc.LSN(c.u64(want))
	if v == 0 {
		c.failAt(at, want)
	}
	return v
}

func (c *cursor) timestamp(want string) Timestamp {
	return Timestamp(c.u64(want)) //nolint:gosec // Postgres sends the sign in the top bit
}

// text reads a string that ends with a zero byte, into memory of its own.
func (c *cursor) text(want string) string {
	n := bytes.IndexByte(c.b[c.at:], 0)
	if n < 0 {
		c.fail(want)
		return ""
	}
	s := string(c.b[c.at : c.at+n])
	c.at += n + 1
	return s
}

// counted reads a length and so many bytes, which stay a piece of the message; never nil unless it fails.
func (c *cursor) counted(wantLength, wantBytes string) []byte {
	at := c.at
	n := c.u32(wantLength)
	if uint64(n) > uint64(c.left()) { //nolint:gosec // left is never negative
		c.failAt(at, wantBytes)
		return nil
	}
	from := c.at
	c.at += int(n)
	return c.b[from:c.at:c.at]
}

// tuple reads a row into the memory of t, growing it if need be.
func (c *cursor) tuple(t cdc.Tuple) cdc.Tuple {
	at := c.at
	n := int(c.u16("column count (2 bytes)"))
	if n > c.left() {
		c.failAt(at, "column count that the message can hold")
		return t[:0]
	}
	t = slices.Grow(t[:0], n)[:n]
	for i := range t {
		c.datum(&t[i])
	}
	return t
}

func (c *cursor) datum(d *cdc.Datum) {
	at := c.at
	kind := cdc.DatumKind(c.u8("column kind"))
	switch kind {
	case cdc.DatumText, cdc.DatumBinary:
		d.Data = c.counted("length of column value (4 bytes)", "length of column value that the message can hold")
	case cdc.DatumNull, cdc.DatumUnchanged:
		d.Data = nil
	case cdc.DatumTooLarge:
		d.Data = c.take(4, "size of the value that was left out (4 bytes)")[:4:4]
	default:
		c.failAt(at, "column kind n, u, t or b")
	}
	d.Kind = kind
}
