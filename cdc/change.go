package cdc

// Op is what happened to a row, as the envelope's `op` says it.
type Op byte

// The operations of an envelope. Every switch over Op names all of them; there is no "other".
const (
	OpCreate Op = 'c' // INSERT, or the second half of a key change
	OpUpdate Op = 'u' // UPDATE that keeps the table key
	OpDelete Op = 'd' // DELETE, or the first half of a key change
	OpRead   Op = 'r' // a row of a copy
)

// DatumKind says in which form a column value came, in pgoutput's own letters.
type DatumKind byte

// The forms of a column value (Postgres protocol, "TupleData").
const (
	DatumNull      DatumKind = 'n'
	DatumUnchanged DatumKind = 'u' // an unchanged TOASTed value that Postgres did not send
	DatumText      DatumKind = 't'
	DatumBinary    DatumKind = 'b'
	// DatumTooLarge is a value that was left out, because its row is larger than what is read into memory. Data is its
	// size in bytes, 4 bytes, most significant first. The letter is ours, not pgoutput's.
	DatumTooLarge DatumKind = 'x'
)

// Datum is one column value as Postgres delivered it. Data aliases the reader's buffer and is valid until the next
// read.
type Datum struct {
	Kind DatumKind
	Data []byte
}

// Tuple is a row as Postgres delivered it, in the order of the relation's columns. It aliases the reader's buffer.
type Tuple []Datum

// OldKind says which old tuple an UPDATE or DELETE carried, in pgoutput's own letters; 0 is none.
type OldKind byte

// The kinds of an old tuple.
const (
	OldNone OldKind = 0
	OldKey  OldKind = 'K' // only the replica identity's columns are filled, all others are null
	OldFull OldKind = 'O' // the whole row (REPLICA IDENTITY FULL)
)

// Meta is what an envelope says about a change, apart from its row.
type Meta struct {
	// Position identifies the change; for an UPDATE it is the first of the two that an UPDATE takes (rule 1).
	Position Position
	// LSN is the start of the change's own WAL record; for information only, it does not order changes. For rows
	// of a copy it is that of their position.
	LSN LSN
	XID uint32 // the transaction's id; 0 for rows of a copy and markers
	// CommitTime is the transaction's commit time in microseconds since 1970-01-01 UTC; for rows of a copy
	// that of the last commit before them.
	CommitTime int64
	Generation uint32 // the table's generation; the first is 1
	Controls   uint32 // the number of the generation's last control before the record, and of a control its own
	Leaf       uint32 // the OID of the partition the row lives in; 0 for a table that is not partitioned
	Now        int64  // when the record was encoded, in microseconds since 1970-01-01 UTC
}
