package cdc

import "context"

// TableEncoder turns the changes of one relation into records of a chunk. It is compiled once per relation, allocates
// nothing per row, and is not safe for concurrent use (each copy compiles its own).
//
// When a value cannot be carried it returns an error that names table and column, never the value; the chunk then holds
// exactly what it held before the call, and the caller quarantines the table.
type TableEncoder interface {
	// Append appends the records of a change, Seal of its Image. An INSERT is `c` at m.Position; a row of a copy is
	// `r` of generation m.Generation at m.Position (ordinal 0); a DELETE is `d` at m.Position, and a tombstone after it
	// if the topic has them; an UPDATE is `u` at ordinal m.Position.Ordinal+1, or, when the encoded key changed,
	// `d` of the old key at m.Position.Ordinal and `c` of the new key at the next one. ctx bounds the re-read of
	// unchanged TOAST (rule 17).
	Append(ctx context.Context, c *Chunk, m *Meta, ch RowChange) error
	// Image appends to dst the encoded rows of a change, after the policies, in the encoder's own form: it can be kept
	// until the transaction has committed, also outside memory. On an error dst is returned as it was. A key change
	// that left out values reads them again here (rule 17), which needs a transaction that is committed in the log.
	Image(ctx context.Context, dst []byte, ch RowChange) ([]byte, error)
	// Seal appends the records of what Image gave. It must be the same table's encoder, compiled from the same schemas.
	Seal(c *Chunk, m *Meta, images []byte) error
	// Control appends a control of the table at m.Position: a truncate, for leaf m.Leaf or the whole table if that is 0
	// (rule 11), or the open or end of generation m.Generation (rule 13). m.Controls is its number.
	Control(c *Chunk, m *Meta, kind ControlKind)
}

// RowChange is what happened to one row, as Postgres delivered it.
type RowChange struct {
	// Op is OpCreate or OpRead (with New), OpUpdate (with New, and Old as OldKind says) or OpDelete (with Old).
	Op      Op
	OldKind OldKind
	// XID is the transaction; it is needed for OpUpdate only.
	XID uint32
	// At is the time by which policies depend on time (rule 29), in microseconds since 1970-01-01 UTC: the commit's, or
	// while that is not known the present. Append takes it from its Meta.
	At       int64
	Old, New Tuple
}

// Rereader reads the present value of columns that Postgres did not send (rule 17: unchanged TOAST in a key change).
type Rereader interface {
	// Reread selects columns (indices into the relation's columns) of the row whose table key has the values that row
	// carries, in a snapshot that sees transaction xid: a commit is in the log, and streamed, before others see it, and
	// a snapshot from before would show no row, or the key's former one. xid 0 does not wait. found is false when the
	// row is gone. The tuple has one text-form datum per asked column, in that order.
	Reread(ctx context.Context, relation, xid uint32, row Tuple, columns []int) (values Tuple, found bool, err error)
}
