package table

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/session"
)

// Insert sends the blocks, at least one, as one INSERT. inside is called while the INSERT is open: after the first
// block. After an error it is not known whether ClickHouse has the rows; inserting them again is harmless.
func (d *DB) Insert(ctx context.Context, t *Table, blocks []*block.Block, inside func()) error {
	for _, b := range blocks {
		b.SetNullable(t.nullable)
	}
	var retyped *block.Retyped
	var abandon func()
	input := blocks[0].Input()
	for i := range input {
		input[i].Data = checked{input[i].Data.(*block.Column), func(r *block.Retyped) { retyped = r; abandon() }}
	}
	next := 1
	err := d.pool.do(ctx, &abandon, ch.Query{
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
	if retyped != nil {
		return t.retyped(retyped.Column, retyped.Stored, retyped.Wants)
	}
	return err
}

// checked is a column that ends the INSERT before it has rows if the stored column has another type: the client alone
// would wait for the server, which waits for rows.
type checked struct {
	*block.Column

	refuse func(*block.Retyped)
}

// Infer implements proto.Inferable.
func (c checked) Infer(stored proto.ColumnType) error {
	if r := c.Retyped(stored); r != nil {
		c.refuse(r)
		return r
	}
	return nil
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
		enums[schemas.ClickHouseStorageColumn(t.Contract.Columns[i].Name)] = kind.Kind == schemas.KindEnum
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

// Pool has the ch-go connections over which blocks of rows travel in both directions. It is safe for concurrent use.
type Pool struct {
	options []ch.Options // one per address
	idle    chan *ch.Client
}

// mostIdle connections are kept.
const mostIdle = 8

// NewPool connects to nothing yet.
func NewPool(o *chgo.Options) *Pool {
	p := &Pool{idle: make(chan *ch.Client, mostIdle)}
	for _, addr := range o.Addr {
		p.options = append(p.options, ch.Options{
			Address: addr, Database: o.Auth.Database, User: o.Auth.Username, Password: o.Auth.Password, TLS: o.TLS,
			ClientName: "dirtbike", DialTimeout: cmp.Or(o.DialTimeout, 10*time.Second), HandshakeTimeout: 30 * time.Second,
			ReadTimeout: ch.NoTimeout, Logger: zap.NewNop(), Compression: compression(o), Settings: pinned(),
		})
	}
	return p
}

func pinned() (all []ch.Setting) {
	for name, value := range session.Pinned() {
		all = append(all, ch.Setting{Key: name, Value: value, Important: true})
	}
	return all
}

func compression(o *chgo.Options) ch.Compression {
	if o.Compression == nil || o.Compression.Method == chgo.CompressionNone {
		return ch.CompressionDisabled
	}
	if o.Compression.Method == chgo.CompressionZSTD {
		return ch.CompressionZSTD
	}
	return ch.CompressionLZ4
}

// Do runs one query on a connection of its own, and ends even if the server no longer answers: after a stop a query
// that has begun may end (ledger.Statement). A connection that failed is not used again.
func (p *Pool) Do(ctx context.Context, q ch.Query) error {
	var abandon func()
	return p.do(ctx, &abandon, q)
}

// do sets abandon, which ends the query by closing its connection, before it begins.
func (p *Pool) do(ctx context.Context, abandon *func(), q ch.Query) error {
	ctx, cancel := ledger.Statement(ctx)
	defer cancel()
	c, err := p.get(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ch-go does not see that ctx has ended while it waits for the server
	*abandon = func() { _ = c.Close() }
	err = c.Do(ctx, q)
	if !stop() || err != nil {
		_ = c.Close() // the query's error is the one that counts
		return err
	}
	select {
	case p.idle <- c:
	default:
		_ = c.Close() // nothing is in flight
	}
	return nil
}

func (p *Pool) get(ctx context.Context) (c *ch.Client, err error) {
	for err = ctx.Err(); err == nil; {
		select {
		case c = <-p.idle:
			if !c.IsClosed() {
				return c, nil
			}
		default:
			return p.dial(ctx)
		}
	}
	return nil, err
}

func (p *Pool) dial(ctx context.Context) (c *ch.Client, err error) {
	for _, o := range p.options {
		if c, err = ch.Dial(ctx, o); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("connect to ClickHouse: %w", err)
}

// Close ends the connections; nothing may be in flight.
func (p *Pool) Close() {
	for {
		select {
		case c := <-p.idle:
			_ = c.Close()
		default:
			return
		}
	}
}
