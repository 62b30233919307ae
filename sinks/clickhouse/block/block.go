// Package block turns rows as they are in Kafka into columns in ClickHouse's native layout, and holds rows that were
// read back. It does no I/O and allocates nothing for a row once its columns have grown.
//
// It uses ch-go, the layer below clickhouse-go: clickhouse-go's own DateTime64 column goes through nanoseconds, which
// end in 2262, and its Array, Map and LowCardinality columns use reflection for every row.
package block

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// Block is a run of rows of one storage table, column by column. It is built by one goroutine and can be reused.
//
// A row is appended whole or not at all: what fails is undone. AppendFields opens a row before it is known whether the
// record counts; Finish adds it, and Undo takes it back by cutting every column to the rows there are.
type Block struct {
	table *schemas.Table
	// columns has all columns in the storage table's order, sorting those of the sorting key in key order.
	columns, sorting []*Column
	// fields has one builder per column of the table, keyInts the columns `_key_<col>` in key order (nil where the key
	// column is exact itself).
	fields  []*builder
	keyInts []*Column
	exact   *texts // nil if no kind needs `_inexact`

	version, deleted, partition, offset, leaf *fixed
	keySkips                                  []func([]byte) ([]byte, error)
	rows                                      int
	bytes, copied                             int64 // roughly the size of the rows; of the values that the open row has from its base
	most                                      int64 // the largest that bytes has been before a Reset
}

// Row is what a Block appends: where it comes from and what its envelope says.
type Row struct {
	Envelope  *avro.Envelope
	Key       []byte // the payload of the record key
	Partition int32
	Offset    int64
}

// New makes an empty block for rows of the table.
func New(t *schemas.Table) *Block {
	b := &Block{table: t}
	exact := newTexts()
	for i := range t.Columns {
		b.fields = append(b.fields, newBuilder(&t.Columns[i], exact))
	}
	for _, k := range t.Key {
		b.addKey(&t.Columns[k], &b.fields[k].Column)
	}
	for _, f := range b.fields {
		b.columns = append(b.columns, &f.Column)
	}
	if t.NeedsInexact() {
		b.exact = exact
		b.columns = append(b.columns, &Column{Name: schemas.ColInexact, wire: "Map(String, String)", vals: &exact.nested})
	}
	b.version = b.add(schemas.ColVersion, "UInt128", 16)
	b.deleted = b.add(schemas.ColDeleted, "UInt8", 1)
	b.partition = b.add(schemas.ColPartition, "UInt32", 4)
	b.offset = b.add(schemas.ColOffset, "UInt64", 8)
	b.leaf = b.add(schemas.ColLeaf, "UInt32", 4)
	return b
}

func (b *Block) addKey(c *schemas.TableColumn, column *Column) {
	var integer *Column
	if schemas.KeyInteger(c.Type) {
		if c.Type.Kind == schemas.KindDate {
			b.add(schemas.ColKeyPrefix+c.Name, "Int32", 4)
		} else {
			b.add(schemas.ColKeyPrefix+c.Name, "Int64", 8)
		}
		integer = b.columns[len(b.columns)-1]
	}
	b.keyInts, b.sorting = append(b.keyInts, integer), append(b.sorting, column)
	if integer != nil { // it alone is the key; the column that people ask for, which depends on it, makes it an index for them
		b.sorting = append(b.sorting, integer)
	}
	b.keySkips = append(b.keySkips, avro.Skipper(c.Type, false))
}

// add adds a bookkeeping column.
func (b *Block) add(name, wire string, width int) *fixed {
	f := &fixed{width: width}
	b.columns = append(b.columns, &Column{Name: name, wire: wire, vals: f})
	return f
}

// Rows counts the rows, an open one not included.
func (b *Block) Rows() int { return b.rows }

// Bytes is roughly the memory that the rows take.
func (b *Block) Bytes() int64 { return b.bytes }

// Full reports whether the block is large enough to be sent.
func (b *Block) Full() bool { return b.rows >= MaxRows || b.bytes >= maxBytes }

const (
	// MaxRows make a block full.
	MaxRows     = 16384
	maxBytes    = 8 << 20
	rowOverhead = 64 // roughly what the bookkeeping columns and the ends of texts take per row
)

// Reset removes all rows and keeps their memory.
func (b *Block) Reset() {
	b.most = max(b.most, b.bytes)
	b.rows, b.bytes = 0, 0
	b.Undo()
}

// Kept is roughly the memory that the block has kept through its Resets.
func (b *Block) Kept() int64 { return b.most }

// Columns lists all columns in the storage table's order.
func (b *Block) Columns() []*Column { return b.columns }

// SortingKey lists the columns of the sorting key, in key order.
func (b *Block) SortingKey() []*Column { return b.sorting }

// AppendSortingKey appends the sorting key of a row as bytes that are equal exactly for equal keys.
func (b *Block) AppendSortingKey(dst []byte, row int) []byte {
	for _, c := range b.sorting {
		dst = c.vals.appendKey(dst, row)
	}
	return dst
}

// SetNullable says, per column of the table, whether the storage column is Nullable now: so its values are sent and
// read.
func (b *Block) SetNullable(nullable []bool) {
	for i, f := range b.fields {
		f.nullable = nullable[i]
	}
}

// HasNull reports whether a row holds NULL in a column of the table. A deleted row's do not count where the column is
// NOT NULL.
func (b *Block) HasNull(column int) bool { return len(b.fields[column].nulls) > 0 }

// Input lists the columns for an insert; they must not change until it has ended.
func (b *Block) Input() proto.Input {
	var in proto.Input
	for _, c := range b.columns {
		in = append(in, proto.InputColumn{Name: c.Name, Data: c})
	}
	return in
}

// Results makes the targets of a query that reads all columns of the storage table, by their order. Received must
// follow.
func (b *Block) Results() proto.Results {
	var out proto.Results
	for _, c := range b.columns {
		out = append(out, proto.ResultColumn{Data: c})
	}
	return out
}

// Received notes how many rows a query has put into the columns.
func (b *Block) Received(rows int) {
	b.rows, b.bytes = rows, 0
	for _, c := range b.columns {
		b.bytes += int64(c.size())
	}
}

// Ref names a row that is built or was read. The zero Ref names none.
type Ref struct {
	Block *Block
	Row   int
}

// Last names the newest row.
func (b *Block) Last() Ref { return Ref{b, b.rows - 1} }

// Version is the position of the row's change.
func (r Ref) Version() cdc.Position {
	v := r.Block.version.row(r.Row)
	return cdc.PositionFromHalves(binary.LittleEndian.Uint64(v[8:]), binary.LittleEndian.Uint64(v))
}

// Deleted reports whether the row says that its key was deleted.
func (r Ref) Deleted() bool { return r.Block.deleted.data[r.Row] == 1 }

// Leaf is the OID of the row's leaf partition, 0 without one.
func (r Ref) Leaf() uint32 { return r.Block.leaf.uint32(r.Row) }
