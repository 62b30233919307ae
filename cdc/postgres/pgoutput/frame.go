package pgoutput

import (
	"fmt"

	"dirtbike/cdc"
)

// FrameKind is the first byte of a CopyData payload that the server sends on a replication connection.
type FrameKind byte

// The two kinds of frames; no others exist.
const (
	FrameXLogData  FrameKind = 'w'
	FrameKeepalive FrameKind = 'k'
)

// String names the kind; a byte that is no kind is written as "frame of kind 0x7a".
func (k FrameKind) String() string {
	switch k {
	case FrameXLogData:
		return "XLogData frame"
	case FrameKeepalive:
		return "keepalive frame"
	default:
		return fmt.Sprintf("frame of kind 0x%02x", byte(k))
	}
}

// Frame is one CopyData payload of a replication connection.
type Frame struct {
	Kind FrameKind
	// WALStart is the place in the WAL that Data came from; 0 for a keepalive and for messages that come from no place
	// of their own (Relation, Type, Origin).
	WALStart cdc.LSN
	// WALEnd is, in a keepalive, how far the server has sent: all that commits below it has been delivered. In XLogData
	// of logical replication Postgres only repeats WALStart.
	WALEnd         cdc.LSN
	ServerTime     Timestamp // the server's clock when it sent the frame
	ReplyRequested bool      // set on a keepalive that must be answered at once, or the server drops the connection
	// Data is the pgoutput message of an XLogData frame, a piece of the bytes given to ParseFrame; nil for a keepalive.
	Data []byte
}

// ParseFrame parses one whole CopyData payload without allocating. Every failure is a *DecodeError. That Data is whole
// only Decode can tell: a frame carries no length of its own.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) == 0 {
		return Frame{}, &DecodeError{Subject: "frame", Offset: 0, Want: "frame kind"}
	}
	c := cursor{b: b}
	f := Frame{Kind: FrameKind(c.u8("frame kind"))}
	switch f.Kind {
	case FrameXLogData:
		f.WALStart = cdc.LSN(c.u64("start LSN (8 bytes)"))
		f.WALEnd = cdc.LSN(c.u64("end LSN (8 bytes)"))
		f.ServerTime = c.timestamp("server time (8 bytes)")
		f.Data = c.b[c.at:len(c.b):len(c.b)]
	case FrameKeepalive:
		f.WALEnd = cdc.LSN(c.u64("end LSN (8 bytes)"))
		f.ServerTime = c.timestamp("server time (8 bytes)")
		f.ReplyRequested = c.flags(1, "reply requested 0 or 1") != 0
		if c.left() > 0 {
			c.fail("end of frame")
		}
	default:
		c.failAt(0, "frame kind w or k")
	}
	if c.want != "" {
		return Frame{}, &DecodeError{Subject: f.Kind.String(), Offset: c.wantAt, Want: c.want}
	}
	return f, nil
}
