package clickhouse

import (
	"github.com/ClickHouse/ch-go/proto"
)

// column is one column of a block, being built or read. It always knows which rows are NULL; whether they are sent as a
// Nullable column is decided when the block is sent, since the storage column may be widened meanwhile (rule 23).
type column struct {
	name  string
	wire  string // type of a non-null value on the wire
	vals  values
	nulls []byte // one byte per row: 1 is NULL
	// nullable says that the storage column is Nullable now.
	nullable bool
	// hasNull says that some row is NULL.
	hasNull bool
}

var (
	_ proto.ColInput  = (*column)(nil)
	_ proto.ColResult = (*column)(nil)
)

// Type implements proto.ColInput.
func (c *column) Type() proto.ColumnType {
	if c.nullable {
		return proto.ColumnType("Nullable(" + c.wire + ")")
	}
	return proto.ColumnType(c.wire)
}

// Rows implements proto.ColInput.
func (c *column) Rows() int { return c.vals.rows() }

func (c *column) size() int { return len(c.nulls) + c.vals.size() }

// Reset implements proto.ColResult.
func (c *column) Reset() {
	c.vals.reset()
	c.nulls = c.nulls[:0]
	c.hasNull = false
}

// set marks the row just appended to vals as not NULL.
func (c *column) set() { c.nulls = append(c.nulls, 0) }

// null appends NULL; in a column that is not Nullable it stays the type's zero, which only a deleted row may hold.
func (c *column) null() {
	c.vals.zero()
	c.nulls = append(c.nulls, 1)
	c.hasNull = true
}

// zero appends the type's zero.
func (c *column) zero() {
	c.vals.zero()
	c.set()
}

func (c *column) copyRow(from *column, row int) {
	c.vals.copyRow(from.vals, row)
	c.nulls = append(c.nulls, from.nulls[row])
	c.hasNull = c.hasNull || from.nulls[row] == 1
}

// EncodeColumn implements proto.ColInput.
func (c *column) EncodeColumn(b *proto.Buffer) {
	if c.nullable {
		b.PutRaw(c.nulls)
	}
	c.vals.encode(b)
}

// WriteColumn implements proto.ColInput.
func (c *column) WriteColumn(w *proto.Writer) {
	if c.nullable {
		w.ChainWrite(c.nulls)
	}
	c.vals.write(w)
}

// DecodeColumn implements proto.ColResult. It appends: several blocks of a result become one column.
func (c *column) DecodeColumn(r *proto.Reader, rows int) error {
	n := len(c.nulls)
	c.nulls = append(c.nulls, make([]byte, rows)...)
	if c.nullable {
		if err := r.ReadFull(c.nulls[n:]); err != nil {
			return err
		}
	}
	return c.vals.decode(r, rows)
}
