package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	product "dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/docker/embedded"
)

// rowPath is a filled table, and the released capture with a sink that discards its records.
type rowPath struct {
	table  *table
	rows   int64
	url    string
	conn   *pgx.Conn
	source *cdc.Table // as capture lists it
	state  cdc.State  // of a capture that has not read the table's rows yet
	slots  int
	bytes  int64   // of keys and values in the last pass
	end    cdc.LSN // the log up to here holds the table's rows
}

// slotName is the slot whose position lies before the table's rows. Each pass over the log reads a copy of it.
const slotName = "bench"

// login is how bench itself comes to a database: under no name by which it could be taken for a capture.
func login(url string) postgres.Login { return postgres.Login{URL: url, Name: "dirtbike bench"} }

// newRowPath makes the table's database, lets capture begin, and then fills the table.
func newRowPath(ctx context.Context, e *embedded.Postgres, t *table, rows int64) (*rowPath, error) {
	p := &rowPath{table: t, rows: rows, url: e.DatabaseURL(t.name)}
	if err := e.CreateDatabase(ctx, t.name); err != nil {
		return nil, err
	}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	return p, nil
}

func (p *rowPath) open(ctx context.Context) (err error) {
	if p.conn, err = login(p.url).Connect(ctx); err != nil {
		return err
	}
	if _, err = p.conn.Exec(ctx, p.table.create()); err != nil {
		return fmt.Errorf("create table %s: %w", p.table.name, err)
	}
	copied := func(d *discard) bool { return d.state.Tables["public."+p.table.name].Phase == cdc.TableStreaming }
	first := &discard{from: cdc.PhaseStreaming, through: copied, counted: newAllocations(0)}
	if _, err = p.capture(ctx, slotName, first, true); err != nil {
		return fmt.Errorf("begin to capture table %s: %w", p.table.name, err)
	}
	p.state = *first.state
	if err = p.table.fill(ctx, p.conn, p.rows); err != nil {
		return err
	}
	var end string
	if err = p.conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_lsn()::text").Scan(&end); err != nil {
		return fmt.Errorf("ask for the end of the log: %w", err)
	}
	p.end, err = cdc.ParseLSN(end)
	return err
}

// capture runs capture until the sink has what it waits for, and gives the time that it took; it reads binary form
// where it can, or never. The config is the product's defaults, except for names and addresses; one worker copies, and
// Kafka, registry and ClickHouse are not asked.
func (p *rowPath) capture(ctx context.Context, slot string, sink *discard, binary bool) (time.Duration, error) {
	c, err := config.Parse("bench.yaml", fmt.Appendf(nil, `source: {url: %s, tables: ["public.%s"], slot: %s, publication: %[2]s, snapshot: {workers: 1}}
kafka: {brokers: ["none:9092"], prefix: bench}
registry: {url: "http://none:8081"}
clickhouse: {url: "clickhouse://none:9000"}
privacy: {mode: open}
`, strconv.Quote(p.url), p.table.name, slot))
	if err != nil {
		return 0, err
	}
	change := func(o *capture.Options) {
		o.Tables = &listing{o.Tables, p, binary}
		o.DriftInterval = time.Hour // reading the catalog is no cost of a row
	}
	o := product.Options{Config: c, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()}
	made, release, err := product.CaptureInto(o, new(countingRegistry), sink, change)
	if err != nil {
		return 0, err
	}
	defer release(context.WithoutCancel(ctx))
	running, done := context.WithCancel(ctx)
	defer done()
	sink.done = done
	if err := made.Run(running); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	p.bytes = sink.bytes
	return sink.took()
}

// listing notes what capture lists, and may have it read in text.
type listing struct {
	cdc.Tables
	path   *rowPath
	binary bool
}

// List implements cdc.Tables.
func (l *listing) List(ctx context.Context) ([]*cdc.Table, error) {
	tables, err := l.Tables.List(ctx)
	for _, t := range tables {
		t.Binary = t.Binary && l.binary
	}
	if err == nil && len(tables) != 1 {
		err = fmt.Errorf("%d tables where one was made", len(tables))
	}
	if err == nil && l.path.source == nil {
		l.path.source = tables[0]
	}
	return tables, err
}

// close drops the slot, so that the log of one table is not kept for the passes over another.
func (p *rowPath) close(ctx context.Context) error {
	if p.conn == nil {
		return nil
	}
	return errors.Join(p.dropSlot(ctx, slotName), p.conn.Close(context.WithoutCancel(ctx)))
}

// dropSlot removes a slot, once the server has noticed that its connection is closed.
func (p *rowPath) dropSlot(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for _, sql := range []string{
		"SELECT pg_catalog.pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active AND slot_name = $1",
		"SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
	} {
		if _, err := p.conn.Exec(ctx, sql, name); err != nil {
			return fmt.Errorf("drop the slot of a pass: %w", err)
		}
	}
	return nil
}

// nextSlot names the slot of a pass.
func (p *rowPath) nextSlot() string {
	p.slots++
	return fmt.Sprintf("pass_%d", p.slots)
}

// countingRegistry gives ids and keeps nothing.
type countingRegistry struct{ last int }

func (r *countingRegistry) Register(context.Context, string, string) (int, error) {
	r.last++
	return r.last, nil
}

func (r *countingRegistry) Schema(context.Context, int) (string, error) {
	return "", errors.New("a registry that keeps nothing was asked for a schema")
}
