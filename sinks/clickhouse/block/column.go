package block

import (
	"github.com/ClickHouse/ch-go/proto"
)

// Column is one column of a block, being built or read. It always knows which rows are NULL; whether they are sent as a
// Nullable column is decided when the block is sent, since the storage column may be widened meanwhile (rule 23).
type Column struct {
	// Name in the storage table, not quoted.
	Name string
	wire string // type of a non-null value on the wire
	vals values
	// nulls has one byte per row, 1 for NULL, up to the last row that is NULL: it is empty if none is.
	nulls []byte
	// nullable says that the storage column is Nullable now.
	nullable bool
}

var (
	_ proto.ColInput  = (*Column)(nil)
	_ proto.ColResult = (*Column)(nil)
)

// Type implements proto.ColInput.
func (c *Column) Type() proto.ColumnType {
	if c.nullable {
		return proto.ColumnType("Nullable(" + c.wire + ")")
	}
	return proto.ColumnType(c.wire)
}

// Rows implements proto.ColInput.
func (c *Column) Rows() int { return c.vals.rows() }

func (c *Column) size() int { return c.vals.rows() + c.vals.size() }

// Reset implements proto.ColResult.
func (c *Column) Reset() {
	c.vals.truncate(0)
	c.nulls = c.nulls[:0]
}

// null appends NULL; in a column that is not Nullable it stays the type's zero, which only a deleted row may hold.
func (c *Column) null() {
	c.nulls = append(zeros(c.nulls, c.vals.rows()), 1)
	c.vals.zero()
}

func (c *Column) isNull(row int) bool { return row < len(c.nulls) && c.nulls[row] == 1 }

func (c *Column) copyRow(from *Column, row int) {
	if from.isNull(row) {
		c.nulls = append(zeros(c.nulls, c.vals.rows()), 1)
	}
	c.vals.copyRow(from.vals, row)
}

// truncate removes all rows after the first n.
func (c *Column) truncate(n int) {
	c.vals.truncate(n)
	if len(c.nulls) <= n {
		return
	}
	for n > 0 && c.nulls[n-1] == 0 {
		n--
	}
	c.nulls = c.nulls[:n]
}

// zeros appends zeros up to a length.
func zeros(b []byte, length int) []byte {
	if n := length - len(b); n > 0 {
		return append(b, make([]byte, n)...)
	}
	return b
}

// EncodeColumn implements proto.ColInput.
func (c *Column) EncodeColumn(b *proto.Buffer) {
	if c.nullable {
		b.PutRaw(c.nulls)
		b.Buf = zeros(b.Buf, len(b.Buf)+c.Rows()-len(c.nulls))
	}
	c.vals.encode(b)
}

// WriteColumn implements proto.ColInput.
func (c *Column) WriteColumn(w *proto.Writer) {
	if c.nullable {
		w.ChainWrite(c.nulls)
		w.ChainWrite(make([]byte, c.Rows()-len(c.nulls)))
	}
	c.vals.write(w)
}

// DecodeColumn implements proto.ColResult. It appends: several blocks of a result become one column.
func (c *Column) DecodeColumn(r *proto.Reader, rows int) error {
	if c.nullable {
		c.nulls = zeros(c.nulls, c.Rows())
		n := len(c.nulls)
		c.nulls = zeros(c.nulls, n+rows)
		if err := r.ReadFull(c.nulls[n:]); err != nil {
			return err
		}
	}
	return c.vals.decode(r, rows)
}
