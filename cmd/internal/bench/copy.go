package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dirtbike/cdc"

	"github.com/jackc/pgx/v5/pgconn"
)

// copying is a table with a snapshot that shows all its rows.
type copying struct {
	*rowPath
	snapshot cdc.Snapshot
}

// copy compares the first copy's row path, from the connection to encoded Avro, one worker, with a client that drains the same COPY
// into nothing. The server is what limits both, so the ratio lies near 1. It may exceed 1: a reader that always waits makes the
// server wake it for every few rows.
func (r *run) copy(ctx context.Context, p *rowPath) (err error) {
	snapshot, err := p.reader(slotName).TemporarySnapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snapshot.Close(context.WithoutCancel(ctx))) }()
	c := &copying{rowPath: p, snapshot: snapshot}
	comparison := Comparison{
		Measure: MeasureCopy, Table: p.table.name, Rows: p.rows, Least: leastCopy, AllocationsCounted: true,
		Reference: "COPY … TO STDOUT (FORMAT binary), the same statement over the same connection library, discarded",
		Product:   "COPY in binary form, decoded, encoded to Avro, one worker",
	}
	if err := r.alternate(ctx, &comparison, c.drain, c.read); err != nil {
		return err
	}
	r.tableFacts(p).AvroBytes = p.encoded() / p.rows
	return nil
}

// counter counts what it discards.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return io.Discard.Write(b)
}

// drain discards the COPY.
func (c *copying) drain(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	conn, err := pgconn.Connect(ctx, c.url)
	if err != nil {
		return 0, fmt.Errorf("connect to Postgres: %w", err)
	}
	tag, err := conn.CopyTo(ctx, io.Discard, c.source.CopySQL)
	took := time.Since(start)
	if err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))); err != nil {
		return 0, fmt.Errorf("COPY: %w", err)
	}
	if tag.RowsAffected() != c.rows {
		return 0, fmt.Errorf("COPY gave %d rows of %d", tag.RowsAffected(), c.rows)
	}
	return took, nil
}

// read reads the table as a worker of the first copy does, and encodes each row into a reused chunk.
func (c *copying) read(ctx context.Context, a *allocations) (time.Duration, error) {
	now := time.Now().UnixMicro()
	at := c.snapshot.Point()
	m := cdc.Meta{Position: cdc.Position{Epoch: 1, CommitLSN: at}, LSN: at, Generation: 1, CommitTime: now, Now: now}
	c.begin()
	start := time.Now()
	err := c.snapshot.Copy(ctx, c.source, func(row cdc.Tuple) error {
		if err := c.encoder.Read(&c.chunk, &m, row); err != nil {
			return err
		}
		c.discard(&m)
		a.row()
		return nil
	})
	took := time.Since(start)
	if err == nil && a.rows != c.rows {
		err = fmt.Errorf("the copy of table %s gave %d rows of %d", c.table.name, a.rows, c.rows)
	}
	return took, err
}

// copiedBytes is how many bytes a row of the table has in COPY's binary form, on average.
func (p *rowPath) copiedBytes(ctx context.Context) (int64, error) {
	var n counter
	if _, err := p.conn.PgConn().CopyTo(ctx, &n, p.source.CopySQL); err != nil {
		return 0, fmt.Errorf("COPY: %w", err)
	}
	return int64(n) / p.rows, nil
}
