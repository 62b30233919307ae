package pgoutput

import (
	"fmt"

	"dirtbike/cdc"
)

// Decoder decodes messages of pgoutput. The zero value is ready. It is for one goroutine.
//
// It decodes rows without allocating: the rows' structs and column lists are its own and are overwritten by the next
// Decode; the values are pieces of the bytes given to it. Beyond the next call it keeps no reference to those bytes, so
// the caller may reuse them as soon as it is done with the message.
type Decoder struct {
	// Parallel must be set if, and only if, the session runs with streaming 'parallel' (protocol 4): Stream Abort then
	// carries its LSN and time, which the message itself does not show.
	Parallel bool

	begin        Begin
	commit       Commit
	insert       Insert
	update       Update
	delete       Delete
	streamStart  StreamStart
	streamStop   StreamStop
	streamCommit StreamCommit
	streamAbort  StreamAbort
	old, new     cdc.Tuple
}

// Decode decodes one whole message. streaming must be true between Stream Start and Stream Stop, where messages carry
// the id of their (sub)transaction, and false elsewhere. Every failure is a *DecodeError; the message is then nil.
func (d *Decoder) Decode(b []byte, streaming bool) (Message, error) {
	clear(d.old)
	clear(d.new)
	c := cursor{b: b}
	if len(b) == 0 {
		return nil, &DecodeError{Subject: "message", Offset: 0, Want: "message kind"}
	}
	kind := Kind(c.u8("message kind"))
	if want := kind.misplaced(streaming); want != "" {
		return nil, &DecodeError{Subject: kind.String(), Offset: 0, Want: want}
	}
	var xid uint32
	if streaming && kinds[kind].change {
		xid = c.xid()
	}
	message := d.message(kind, &c, xid)
	if c.want == "" && c.left() > 0 {
		c.fail("end of message")
	}
	if c.want != "" {
		return nil, &DecodeError{Subject: kind.String(), Offset: c.wantAt, Want: c.want}
	}
	return message, nil
}

// message decodes what follows the kind and the transaction's id.
func (d *Decoder) message(kind Kind, c *cursor, xid uint32) Message {
	switch kind {
	case KindInsert:
		return d.decodeInsert(c, xid)
	case KindUpdate:
		return d.decodeUpdate(c, xid)
	case KindDelete:
		return d.decodeDelete(c, xid)
	case KindTruncate:
		return decodeTruncate(c, xid)
	case KindRelation:
		return decodeRelation(c, xid)
	case KindType:
		return &Type{XID: xid, OID: c.u32("type OID (4 bytes)"), Namespace: c.text("namespace"), Name: c.text("type name")}
	case KindMessage:
		return decodeLogicalMessage(c, xid)
	case KindOrigin:
		return &Origin{LSN: cdc.LSN(c.u64("LSN at the origin (8 bytes)")), Name: c.text("name of the origin")}
	case KindBegin:
		d.begin = Begin{FinalLSN: c.lsn(wantCommitLSN), CommitTime: c.timestamp(wantCommitTime), XID: c.xid()}
		return &d.begin
	case KindCommit:
		c.flags(noFlags, "commit flags 0")
		d.commit = Commit{LSN: c.lsn(wantCommitLSN), EndLSN: c.lsn(wantEndLSN), Time: c.timestamp(wantCommitTime)}
		return &d.commit
	case KindStreamStart:
		d.streamStart = StreamStart{XID: c.xid(), First: c.flags(1, "first segment 0 or 1") != 0}
		return &d.streamStart
	case KindStreamStop:
		return &d.streamStop
	case KindStreamCommit:
		return d.decodeStreamCommit(c)
	case KindStreamAbort:
		return d.decodeStreamAbort(c)
	}
	panic("pgoutput: no decoder for " + kind.String())
}

const (
	noFlags = 0 // of commits: the protocol has none

	wantCommitLSN  = "LSN of commit, 8 bytes, not 0"
	wantCommitTime = "commit time (8 bytes)"
	wantEndLSN     = "end LSN, 8 bytes, not 0"
)

func (d *Decoder) decodeStreamCommit(c *cursor) Message {
	xid := c.xid()
	c.flags(noFlags, "commit flags 0")
	d.streamCommit = StreamCommit{XID: xid, LSN: c.lsn(wantCommitLSN), EndLSN: c.lsn(wantEndLSN), Time: c.timestamp(wantCommitTime)}
	return &d.streamCommit
}

func (d *Decoder) decodeStreamAbort(c *cursor) Message {
	d.streamAbort = StreamAbort{XID: c.xid(), SubXID: c.xid()}
	if d.Parallel {
		// The server sends 0 for a transaction that a crash ended, so this LSN is not required.
		d.streamAbort.LSN = cdc.LSN(c.u64("LSN of abort (8 bytes)"))
		d.streamAbort.Time = c.timestamp("abort time (8 bytes)")
	}
	return &d.streamAbort
}

func (d *Decoder) decodeInsert(c *cursor, xid uint32) Message {
	d.insert.XID = xid
	d.insert.RelationOID = c.u32("relation OID (4 bytes)")
	c.oneOf("N", "tuple marker N")
	d.new = c.tuple(d.new)
	d.insert.New = d.new
	return &d.insert
}

func (d *Decoder) decodeUpdate(c *cursor, xid uint32) Message {
	d.update.XID = xid
	d.update.RelationOID = c.u32("relation OID (4 bytes)")
	d.update.OldKind = cdc.OldNone
	d.old = d.old[:0]
	if marker := c.oneOf("NKO", "tuple marker N, K or O"); marker != 'N' {
		d.update.OldKind = cdc.OldKind(marker)
		d.old = c.tuple(d.old)
		c.oneOf("N", "tuple marker N")
	}
	d.new = c.tuple(d.new)
	d.update.Old, d.update.New = d.old, d.new
	return &d.update
}

func (d *Decoder) decodeDelete(c *cursor, xid uint32) Message {
	d.delete.XID = xid
	d.delete.RelationOID = c.u32("relation OID (4 bytes)")
	d.delete.OldKind = cdc.OldKind(c.oneOf("KO", "tuple marker K or O"))
	d.old = c.tuple(d.old)
	d.delete.Old = d.old
	return &d.delete
}

func decodeTruncate(c *cursor, xid uint32) *Truncate {
	const cascade, restartIdentity = 1, 2
	m := &Truncate{XID: xid}
	at := c.at
	n := uint64(c.u32("relation count (4 bytes)"))
	flags := c.flags(cascade|restartIdentity, "truncate flags 0 to 3")
	m.Cascade, m.RestartIdentity = flags&cascade != 0, flags&restartIdentity != 0
	if n*4 > uint64(c.left()) { //nolint:gosec // left is never negative
		c.failAt(at, "relation count that the message can hold")
		return m
	}
	m.RelationOIDs = make([]uint32, n)
	for i := range m.RelationOIDs {
		m.RelationOIDs[i] = c.u32("relation OID (4 bytes)")
	}
	return m
}

func decodeRelation(c *cursor, xid uint32) *Relation {
	const columnMinimum = 1 + 1 + 4 + 4 // flags, the zero byte of an empty name, type, type modifier
	m := &Relation{XID: xid}
	r := &m.Relation
	r.OID, r.Schema, r.Name = c.u32("relation OID (4 bytes)"), c.text("namespace"), c.text("relation name")
	r.Identity = cdc.ReplicaIdentity(c.oneOf("dnfi", "replica identity d, n, f or i"))
	if r.Schema == "" { // how the protocol abbreviates it
		r.Schema = "pg_catalog"
	}
	at := c.at
	n := int(c.u16("column count (2 bytes)"))
	if n*columnMinimum > c.left() {
		c.failAt(at, "column count that the message can hold")
		return m
	}
	r.Columns = make([]cdc.WireColumn, n)
	for i := range r.Columns {
		r.Columns[i] = cdc.WireColumn{
			Key:     c.flags(1, "column flags 0 or 1") != 0,
			Name:    c.text("column name"),
			TypeOID: c.u32("type OID (4 bytes)"),
			TypeMod: int32(c.u32("type modifier (4 bytes)")), //nolint:gosec // -1 means none
		}
	}
	return m
}

func decodeLogicalMessage(c *cursor, xid uint32) *LogicalMessage {
	return &LogicalMessage{
		XID:           xid,
		Transactional: c.flags(1, "message flags 0 or 1") != 0,
		LSN:           cdc.LSN(c.u64("LSN of message (8 bytes)")),
		Prefix:        c.text("prefix"),
		Content:       append([]byte{}, c.counted("length of content (4 bytes)", "length of content that the message can hold")...),
	}
}

// DecodeError says where bytes stopped being what the protocol promises. It carries nothing of the content, so it may
// be logged. Nothing of the message has been delivered; the stream cannot go on past it without losing a change.
type DecodeError struct {
	// Subject is the kind of message or frame, as Kind.String and FrameKind.String write it; "message" or "frame" if
	// the bytes were empty.
	Subject string
	Offset  int    // counts bytes from the start of the message or frame, its kind byte included
	Want    string // what the protocol has at Offset
}

// Error writes one line: the subject, the offset, what was expected.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("decode pgoutput %s at byte %d: want %s", e.Subject, e.Offset, e.Want)
}
