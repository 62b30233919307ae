package cdc

import (
	"cmp"
	"encoding/binary"
	"fmt"
)

// Position is the place of a change in the order of all changes: epoch, then commit LSN, then ordinal (rule 1 of
// cdc/EXACTNESS.md). It identifies the change everywhere: in envelopes, state, progress and `_version`.
type Position struct {
	// Epoch counts the histories of the source: it rises when a re-snapshot follows a failover or a restore. The first
	// is 1.
	Epoch     uint32
	CommitLSN LSN    // the start of the transaction's commit record: final_lsn of pgoutput's Begin message
	Ordinal   uint32 // counts from 1 the rows that pgoutput delivers in the transaction; 0 is a row of a copy
}

// PositionSize is the length of a packed Position in bytes.
const PositionSize = 16

// PositionHeader names the record header that carries a tombstone's packed position (rule 10).
const PositionHeader = "dirtbike.position"

// Compare orders positions: negative if p comes before q, 0 if they are one, positive after.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.CommitLSN, q.CommitLSN), cmp.Compare(p.Ordinal, q.Ordinal))
}

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p == Position{} }

// AppendTo packs p big-endian (epoch u32, commit LSN u64, ordinal u32), so that bytes sort as positions do.
func (p Position) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, p.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.CommitLSN))
	return binary.BigEndian.AppendUint32(dst, p.Ordinal)
}

// UnpackPosition reads what AppendTo wrote; any other length is an error.
func UnpackPosition(b []byte) (Position, error) {
	if len(b) != PositionSize {
		return Position{}, fmt.Errorf("unpack position: %d bytes, want %d", len(b), PositionSize)
	}
	return Position{
		Epoch:     binary.BigEndian.Uint32(b),
		CommitLSN: LSN(binary.BigEndian.Uint64(b[4:])),
		Ordinal:   binary.BigEndian.Uint32(b[12:]),
	}, nil
}

// Halves gives the high and low 64 bits of the packed position, which together are the UInt128 `_version`.
func (p Position) Halves() (high, low uint64) {
	return uint64(p.Epoch)<<32 | uint64(p.CommitLSN)>>32, uint64(p.CommitLSN)<<32 | uint64(p.Ordinal)
}

// PositionFromHalves is the inverse of Halves.
func PositionFromHalves(high, low uint64) Position {
	return Position{
		Epoch:     uint32(high >> 32),        // cut on purpose
		CommitLSN: LSN(high<<32 | low>>32),   // the two inner halves
		Ordinal:   uint32(low & 0xffff_ffff), // cut on purpose
	}
}

// String writes "epoch:lsn:ordinal" for people.
func (p Position) String() string { return fmt.Sprintf("%d:%s:%d", p.Epoch, p.CommitLSN, p.Ordinal) }
