package cdc

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// Key is the values of a table's key columns, in key order, as Postgres delivered them.
type Key []Datum

// Text is the key in a form that ParseKey reads: per column its kind, the length of its data in 4 bytes, most
// significant first, and the data, all of it in base64. "" is no key.
func (k Key) Text() string {
	var b []byte
	for _, d := range k {
		b = binary.BigEndian.AppendUint32(append(b, byte(d.Kind)), uint32(len(d.Data))) //nolint:gosec // a value has at most 1 GiB
		b = append(b, d.Data...)
	}
	return base64.StdEncoding.EncodeToString(b)
}

var errKey = errors.New("the stored key of a copy's last row cannot be read")

// ParseKey reads what Text gives.
func ParseKey(text string) (k Key, err error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errKey
	}
	const header = 1 + 4
	for len(b) > 0 {
		if len(b) < header {
			return nil, errKey
		}
		end := header + int(binary.BigEndian.Uint32(b[1:]))
		if end > len(b) {
			return nil, errKey
		}
		k = append(k, Datum{Kind: DatumKind(b[0]), Data: b[header:end]})
		b = b[end:]
	}
	return k, nil
}

// Range is what a RangeReader read.
type Range struct {
	Rows int
	// Last is the key of the last row, from which the next range goes on; it stays valid. nil without rows.
	Last Key
	// End says that the table had no rows after it.
	End bool
	// Log is how far the server's log reached after the rows were read: what they show is published up to there.
	Log LSN
}

// RangeReader reads a table range by range of its key, each in a short transaction of its own. It has a connection, and
// one user at a time.
type RangeReader interface {
	// Read calls row for the rows whose key is after the given one (nil: from the first), in the order of the key, at
	// most limit of them; the tuple is valid during the call only. Before any row, sees is given what the transaction
	// will see at least: if it returns false, nothing is read, and the error is ErrNotVisible. Any other error that row
	// returns ends the reading, and is returned. A TableTrouble speaks of this table alone; ErrTableChanged says that
	// the table is not as it was described.
	Read(ctx context.Context, after Key, limit int, sees func(Visibility) bool, row func(Tuple) error) (Range, error)
	// WaitsFor says whose the oldest of these transactions is that have not ended, and what ends it; nil if all have.
	WaitsFor(ctx context.Context, transactions []uint64) (*Problem, error)
	// Close lets the connection go. It is safe to call twice.
	Close(ctx context.Context)
}
