package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
)

// rowPath is a filled table and what the product reads it with: the parts of the row path as the pipeline wires them, without
// Kafka behind them.
type rowPath struct {
	table   *table
	rows    int64
	url     string
	conn    *pgx.Conn
	source  *cdc.Table
	tables  *catalog.Tables
	encoder cdc.TableEncoder
	chunk   cdc.Chunk
	sent    int64 // bytes of keys and values encoded
	slots   int
	end     cdc.LSN // the log up to here holds the table's rows
}

// chunkBytes is the size of the capture loop's chunks.
const chunkBytes = 1 << 20

// slotName is the slot in front of the table's rows. Each pass over the log reads a copy of it.
const slotName = "bench"

// newRowPath makes the table's database, a slot and then the rows.
func newRowPath(ctx context.Context, e *engines, t *table, rows int64) (*rowPath, error) {
	p := &rowPath{table: t, rows: rows, url: e.postgres(t.name)}
	if err := e.createDatabase(ctx, t.name); err != nil {
		return nil, err
	}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	return p, nil
}

func (p *rowPath) open(ctx context.Context) (err error) {
	if p.conn, err = pgx.Connect(ctx, p.url); err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	if _, err = p.conn.Exec(ctx, p.table.create()); err != nil {
		return fmt.Errorf("create table %s: %w", p.table.name, err)
	}
	if _, err = p.conn.Exec(ctx, "SELECT pg_create_logical_replication_slot('"+slotName+"', 'pgoutput')"); err != nil {
		return fmt.Errorf("create a slot: %w", err)
	}
	if err = p.table.fill(ctx, p.conn, p.rows); err != nil {
		return err
	}
	var end string
	if err = p.conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		return fmt.Errorf("ask for the end of the log: %w", err)
	}
	if p.end, err = cdc.ParseLSN(end); err != nil {
		return err
	}
	return p.compile(ctx)
}

// compile wires what a capture would.
func (p *rowPath) compile(ctx context.Context) error {
	p.tables = catalog.New(catalog.Options{
		Login: postgres.Login{URL: p.url}, Prefix: "bench", Partitions: partitions,
		Selection: everyTable{}, Policies: keepAll{}, Registry: new(countingRegistry),
	})
	list, err := p.tables.List(ctx)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("%d tables where one was made", len(list))
	}
	p.source = list[0]
	if p.encoder, err = p.tables.Encoder(ctx, p.source); err != nil {
		return err
	}
	p.chunk.Bytes = make([]byte, 0, chunkBytes+chunkBytes/8)
	p.chunk.Records = make([]cdc.Record, 0, chunkBytes/64) // more than fit: chunks of the capture loop are reused, too
	return nil
}

// partitions is the product's default.
const partitions = 6

// close drops the slot, so that the log of one table is not kept for the passes over another.
func (p *rowPath) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if p.tables != nil {
		p.tables.Close(ctx)
	}
	if p.conn == nil {
		return nil
	}
	_, err := p.conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '"+slotName+"'")
	return errors.Join(err, p.conn.Close(ctx))
}

// reader is the pipeline's own source, over the given slot.
func (p *rowPath) reader(slot string) *postgres.Source {
	return postgres.New(postgres.Options{Login: postgres.Login{URL: p.url}, Slot: slot, Publication: p.table.name})
}

// discard empties the chunk when the capture loop would send it on.
func (p *rowPath) discard(m *cdc.Meta) {
	if len(p.chunk.Bytes) >= chunkBytes {
		p.sent += int64(len(p.chunk.Bytes))
		p.chunk.Reset()
		m.Now = time.Now().UnixMicro()
	}
}

// begin starts a pass with an empty chunk, and encoded ends it.
func (p *rowPath) begin()         { p.chunk.Reset(); p.sent = 0 }
func (p *rowPath) encoded() int64 { return p.sent + int64(len(p.chunk.Bytes)) }

// everyTable captures all there is.
type everyTable struct{}

func (everyTable) Match(string, string) bool       { return true }
func (everyTable) Check([]*schemas.Relation) error { return nil }

// keepAll publishes every column as it is.
type keepAll struct{}

func (keepAll) For(*schemas.Relation, int) (schemas.Transform, bool, error) { return nil, true, nil }

// countingRegistry gives ids and keeps nothing.
type countingRegistry struct{ last int }

func (r *countingRegistry) Register(context.Context, string, string) (int, error) {
	r.last++
	return r.last, nil
}

func (r *countingRegistry) Schema(context.Context, int) (string, error) {
	return "", errors.New("a registry that keeps nothing was asked for a schema")
}
