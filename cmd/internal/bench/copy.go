package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dirtbike/cdc"
)

// copy compares the first copy, from the connection to encoded Avro in the sink's hands, one worker, with a client that
// drains a COPY of the table into nothing. COPY reads the table in the order in which it lies there; a copy reads it in
// the order of its key, and begins a transaction for each range.
func (r *run) copy(ctx context.Context, p *rowPath) error {
	return r.alternate(Comparison{
		Measure: MeasureCopy, Table: p.table.name, Rows: p.rows, Least: leastCopy, AllocationsCounted: true,
		Reference: "COPY … TO STDOUT (FORMAT binary) of the same columns over the same connection library, discarded",
		Product:   "first copy of capture as it ships, one worker, in ranges of the key and in binary form, encoded to Avro, into a sink that discards",
	}, func() (time.Duration, error) { return p.drainCopy(ctx) }, func(a *allocations) (time.Duration, error) { return p.firstCopy(ctx, a) })
}

// copySQL reads all of the table.
func (p *rowPath) copySQL() string {
	return "COPY public." + p.table.name + " TO STDOUT (FORMAT binary)"
}

// drainCopy discards the COPY.
func (p *rowPath) drainCopy(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	conn, err := login(p.url).ConnectPlain(ctx)
	if err != nil {
		return 0, err
	}
	tag, err := conn.CopyTo(ctx, io.Discard, p.copySQL())
	took := time.Since(start)
	if err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))); err != nil {
		return 0, fmt.Errorf("COPY: %w", err)
	}
	if tag.RowsAffected() != p.rows {
		return 0, fmt.Errorf("COPY gave %d rows of %d", tag.RowsAffected(), p.rows)
	}
	return took, nil
}

// firstCopy is a first start of capture: from the commit after its slot was made to the one that ends the table's copy.
func (p *rowPath) firstCopy(ctx context.Context, a *allocations) (took time.Duration, err error) {
	slot := p.nextSlot()
	defer func() { err = errors.Join(err, p.dropSlot(ctx, slot)) }()
	name := "public." + p.table.name
	sink := &discard{from: cdc.PhaseStreaming, counted: a, through: func(d *discard) bool { return d.state.Tables[name].Phase == cdc.TableStreaming }}
	took, err = p.capture(ctx, slot, sink, true)
	if err == nil && sink.state.Tables[name].Rows != p.rows {
		err = fmt.Errorf("the copy of table %s gave %d rows of %d", p.table.name, sink.state.Tables[name].Rows, p.rows)
	}
	return took, err
}

// counter counts what it discards.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// copiedBytes is how many bytes a row of the table has in COPY's binary form, on average.
func (p *rowPath) copiedBytes(ctx context.Context) (int64, error) {
	var n counter
	if _, err := p.conn.PgConn().CopyTo(ctx, &n, p.copySQL()); err != nil {
		return 0, fmt.Errorf("COPY: %w", err)
	}
	return int64(n) / p.rows, nil
}
