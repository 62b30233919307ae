package table

import (
	"context"
	"io"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/block"
)

// Insert sends the blocks, at least one, as one INSERT. inside is called while the INSERT is open: after the first
// block. After an error it is not known whether ClickHouse has the rows; inserting them again is harmless.
func (d *DB) Insert(ctx context.Context, t *Table, blocks []*block.Block, inside func()) error {
	for _, b := range blocks {
		b.SetNullable(t.nullable)
	}
	input := blocks[0].Input()
	next := 1
	return d.pool.Do(ctx, ch.Query{
		Body: "INSERT INTO " + t.Name + " (" + columnList(blocks[0].Columns()) + ") VALUES", Input: input,
		OnInput: func(context.Context) error {
			if next == 1 {
				inside()
			}
			if next == len(blocks) {
				copy(input, t.emptyBlock().Input()) // all blocks are sent
				return io.EOF
			}
			copy(input, blocks[next].Input())
			next++
			return nil
		},
	})
}

func columnList(columns []*block.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = schemas.ClickHouseIdent(c.Name)
	}
	return strings.Join(list, ", ")
}

// Newest reads the newest stored row of each key, deleted ones included: FINAL would hide those, and a replayed record
// could not be distinguished from one whose base is missing. keys has one row per key, of which only the sorting key
// counts. rows are by sorting key; size is roughly the memory that they take, in bytes.
func (d *DB) Newest(ctx context.Context, t *Table, keys *block.Block) (rows map[string]block.Ref, size int64, err error) {
	rows = make(map[string]block.Ref, keys.Rows())
	into := t.emptyBlock()
	target := into.Results()
	var external []proto.InputColumn
	for _, c := range keys.SortingKey() {
		external = append(external, proto.InputColumn{Name: c.Name, Data: c})
	}
	list := columnList(keys.SortingKey())
	err = d.pool.Do(ctx, ch.Query{
		Body: "SELECT " + t.readList(into) + " FROM " + t.Name + " WHERE (" + list + ") IN (SELECT " + list + " FROM _keys) ORDER BY " +
			schemas.ColVersion + " DESC LIMIT 1 BY " + list,
		ExternalTable: "_keys", ExternalData: external, Result: target,
		OnResult: func(_ context.Context, got proto.Block) error {
			into.Received(got.Rows)
			for i := range got.Rows {
				rows[string(into.AppendSortingKey(nil, i))] = block.Ref{Block: into, Row: i}
			}
			size += into.Bytes()
			if got.Rows > 0 { // the next block of the answer must not overwrite this one
				into = t.emptyBlock()
				copy(target, into.Results())
			}
			return nil
		},
	})
	return rows, size, err
}

// emptyBlock makes a block with the columns of the storage table.
func (t *Table) emptyBlock() *block.Block {
	b := block.New(t.Contract)
	b.SetNullable(t.nullable)
	return b
}

// readList lists the columns in the types in which they travel: enums as strings.
func (t *Table) readList(b *block.Block) string {
	enums := map[string]bool{}
	for i := range t.Contract.Columns {
		kind := &t.Contract.Columns[i].Type
		if kind.Kind == schemas.KindArray {
			kind = kind.Elem
		}
		enums[schemas.ClickHouseColumn(t.Contract.Columns[i].Name)] = kind.Kind == schemas.KindEnum
	}
	var list []string
	for _, c := range b.Columns() {
		name := schemas.ClickHouseIdent(c.Name)
		if enums[c.Name] { // stored as LowCardinality
			name = "CAST(" + name + ", " + schemas.ClickHouseLiteral(string(c.Type())) + ")"
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}
