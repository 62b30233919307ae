package pgoutput

import (
	"time"

	"dirtbike/cdc"
)

// Message is one decoded message: a pointer to one of the structs of this package.
//
// Begin, Commit, Insert, Update, Delete, StreamStart, StreamStop, StreamCommit and StreamAbort belong to the Decoder
// and are overwritten by its next call; so are the tuples in them, whose values are pieces of the bytes given to it.
// All others are fresh, own their bytes and may be kept.
//
// XID is in each of them the (sub)transaction of the message inside a stream; 0 outside.
type Message any

// Timestamp counts microseconds since 2000-01-01 00:00 UTC by the server's clock; earlier times are negative.
type Timestamp int64

const secondsFrom1970To2000 = 946_684_800

// Time converts without loss, in UTC.
func (t Timestamp) Time() time.Time {
	return time.Unix(int64(t)/1e6+secondsFrom1970To2000, int64(t)%1e6*1e3).UTC()
}

// Begin opens a transaction that is sent after its commit.
type Begin struct {
	FinalLSN   cdc.LSN // the start of the commit record, never 0: the transaction's place in the order of all changes
	CommitTime Timestamp
	XID        uint32
}

// Commit closes the transaction that the last Begin opened.
type Commit struct {
	LSN    cdc.LSN // the start of the commit record, never 0, equal to FinalLSN of Begin
	EndLSN cdc.LSN // the end of the commit record, never 0: what is reported to Postgres once the transaction is safe
	Time   Timestamp
}

// Origin follows Begin or StreamStart if the transaction was itself replicated to this server.
type Origin struct {
	LSN  cdc.LSN // the commit's position on the server of origin; 0 if not yet known
	Name string
}

// Relation describes a table. It comes before the first change of the table in a session and again after its definition
// changed. One that comes inside a stream counts only for that transaction until it commits.
type Relation struct {
	XID uint32
	// Relation is fresh and may be kept. Its Columns are the published ones, in the order of the tuples.
	Relation cdc.WireRelation
}

// Type names a type that is not built in; it comes before the Relation that uses it.
type Type struct {
	XID       uint32
	OID       uint32
	Namespace string // the schema's name; "" means pg_catalog
	Name      string
}

// Insert is a new row.
type Insert struct {
	XID         uint32
	RelationOID uint32
	New         cdc.Tuple
}

// Update is a changed row.
type Update struct {
	XID         uint32
	RelationOID uint32
	OldKind     cdc.OldKind
	// Old has no columns for cdc.OldNone.
	Old, New cdc.Tuple
}

// Delete is a removed row.
type Delete struct {
	XID         uint32
	RelationOID uint32
	// OldKind is cdc.OldKey or cdc.OldFull.
	OldKind cdc.OldKind
	Old     cdc.Tuple
}

// Truncate empties tables, all of one TRUNCATE command that are published.
type Truncate struct {
	XID             uint32
	Cascade         bool
	RestartIdentity bool
	RelationOIDs    []uint32
}

// LogicalMessage is what pg_logical_emit_message wrote.
type LogicalMessage struct {
	// XID is the top-level transaction inside a stream, even if a sub-transaction wrote the message (unlike rows, which
	// name the sub-transaction): no Stream Abort of a sub-transaction takes it back. 0 outside.
	XID uint32
	// Transactional messages come with their transaction, the others at once and outside of any.
	Transactional bool
	LSN           cdc.LSN // the position of the message's own record
	Prefix        string
	Content       []byte
}

// StreamStart opens a segment of a transaction that is still in progress (protocol 2).
type StreamStart struct {
	XID   uint32 // the top-level transaction
	First bool   // set on the transaction's first segment
}

// StreamStop closes the segment.
type StreamStop struct{}

// StreamCommit commits a transaction whose rows came in segments.
type StreamCommit struct {
	XID    uint32
	LSN    cdc.LSN // the start of the commit record, never 0
	EndLSN cdc.LSN // the end of the commit record, never 0
	Time   Timestamp
}

// StreamAbort takes back rows of a streamed transaction: all that SubXID wrote.
type StreamAbort struct {
	XID uint32
	// SubXID equals XID if the whole transaction is aborted.
	SubXID uint32
	// LSN and Time are those of the abort if the session streams in parallel mode and the server knows them; otherwise
	// 0.
	LSN  cdc.LSN
	Time Timestamp
}
