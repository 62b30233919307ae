package block

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
)

// Column is one column of a block, being built or read. It always knows which rows are NULL; whether they are sent as a
// Nullable column is decided when the block is sent, since the storage column may be widened meanwhile (rule 23).
type Column struct {
	Name     string // Name in the storage table, not quoted
	wire     string // type of a non-null value on the wire
	vals     values
	nulls    []byte // nulls has one byte per row, 1 for NULL, up to the last row that is NULL: it is empty if none is
	nullable bool   // nullable says that the storage column is Nullable now
}

var (
	_ proto.ColInput  = (*Column)(nil)
	_ proto.ColResult = (*Column)(nil)
	_ run             = (*Column)(nil)
)

// Type implements proto.ColInput.
func (c *Column) Type() proto.ColumnType {
	if c.nullable {
		return proto.ColumnType("Nullable(" + c.wire + ")")
	}
	return proto.ColumnType(c.wire)
}

// Retyped says that a column of the storage has another type than the rows that are sent: ClickHouse would convert them
// silently, and a number that does not fit becomes another one.
type Retyped struct {
	Column, Stored, Wants string
}

// Error implements error.
func (r *Retyped) Error() string {
	return fmt.Sprintf("column %s has type %q, rows have %q", r.Column, r.Stored, r.Wants)
}

// Retyped compares the type of the stored column with that of the rows; nil if they have the same values.
func (c *Column) Retyped(stored proto.ColumnType) *Retyped {
	if bare.Replace(string(stored)) != bare.Replace(c.wire) {
		return &Retyped{c.Name, string(stored), c.wire}
	}
	return nil
}

// bare leaves out of a type's name what does not change its values.
var bare = strings.NewReplacer("LowCardinality(", "", "Nullable(", "", "(", "", ")", "", " ", "")

// Rows implements proto.ColInput.
func (c *Column) Rows() int { return c.vals.rows() }

// Reset implements proto.ColResult.
func (c *Column) Reset() { c.truncate(0) }

func (c *Column) rows() int { return c.vals.rows() }
func (c *Column) size() int { return c.vals.rows() + c.vals.size() }

// null appends NULL; in a column that is not Nullable it stays the type's zero, which only a deleted row may hold.
func (c *Column) null() {
	c.nulls = append(zeros(c.nulls, c.vals.rows()), 1)
	c.vals.zero()
}

func (c *Column) isNull(row int) bool { return row < len(c.nulls) && c.nulls[row] == 1 }

func (c *Column) copyRow(from run, row int) {
	src := from.(*Column)
	if src.isNull(row) {
		c.nulls = append(zeros(c.nulls, c.vals.rows()), 1)
	}
	c.vals.copyRow(src.vals, row)
}

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

var noNulls [MaxRows]byte

func (c *Column) parts(put func([]byte)) {
	if c.nullable {
		put(c.nulls)
		for n := c.Rows() - len(c.nulls); n > 0; n -= len(noNulls) {
			put(noNulls[:min(n, len(noNulls))])
		}
	}
	c.vals.parts(put)
}

// EncodeColumn implements proto.ColInput.
func (c *Column) EncodeColumn(b *proto.Buffer) { c.parts(b.PutRaw) }

// WriteColumn implements proto.ColInput.
func (c *Column) WriteColumn(w *proto.Writer) { c.parts(w.ChainWrite) }

// DecodeColumn implements proto.ColResult. It appends.
func (c *Column) DecodeColumn(r *proto.Reader, rows int) error { return c.decode(r, rows) }

func (c *Column) decode(r *proto.Reader, rows int) error {
	if c.nullable {
		n := c.Rows()
		c.nulls = zeros(c.nulls, n+rows)
		if err := r.ReadFull(c.nulls[n:]); err != nil {
			return err
		}
	}
	return c.vals.decode(r, rows)
}
