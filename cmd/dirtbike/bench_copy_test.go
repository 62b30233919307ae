package main

import (
	"context"
	"io"
	"testing"
	"time"

	"dirtbike/cdc"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// claimsCopy is a snapshot that shows the filled table.
type claimsCopy struct {
	*claimsBench
	snapshot cdc.Snapshot
}

// newCopy takes the snapshot as the first copy does.
func (b *claimsBench) newCopy() *claimsCopy {
	b.Helper()
	s, err := b.source("bench").TemporarySnapshot(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	return &claimsCopy{claimsBench: b, snapshot: s}
}

// BenchmarkCopy compares the first copy's row path, from the connection to encoded Avro, one worker, with a client that drains
// the same COPY into nothing. The server is what limits both, so the ratio lies near 1. It may exceed 1: a reader that always
// waits makes the server wake it for every few rows.
func BenchmarkCopy(b *testing.B) {
	bench := newClaimsBench(b)
	bench.fill(*copyRows)
	c := bench.newCopy()
	t := turns{rows: *copyRows}
	for b.Loop() {
		t.alternate(*alternations, c.reference, c.product)
	}
	t.report(b, "copy", leastCopyRatio)
}

// reference drains the COPY.
func (c *claimsCopy) reference() time.Duration {
	c.Helper()
	ctx := c.Context()
	start := time.Now()
	conn, err := pgconn.Connect(ctx, c.url)
	require.NoError(c, err)
	tag, err := conn.CopyTo(ctx, io.Discard, c.table.CopySQL)
	took := time.Since(start)
	require.NoError(c, err)
	require.Equal(c, *copyRows, tag.RowsAffected())
	require.NoError(c, conn.Close(context.WithoutCancel(ctx)))
	return took
}

// product reads the table as a worker of the first copy does, and encodes each row into a reused chunk.
func (c *claimsCopy) product(a *allocations) time.Duration {
	c.Helper()
	m := cdc.Meta{
		Position: cdc.Position{Epoch: 1, CommitLSN: c.snapshot.Point()}, LSN: c.snapshot.Point(), Generation: 1,
		CommitTime: time.Now().UnixMicro(), Now: time.Now().UnixMicro(),
	}
	start := time.Now()
	err := c.snapshot.Copy(c.Context(), c.table, func(row cdc.Tuple) error {
		if err := c.encoder.Read(&c.chunk, &m, row); err != nil {
			return err
		}
		c.discard(&m)
		a.row()
		return nil
	})
	took := time.Since(start)
	require.NoError(c, err)
	require.Equal(c, a.last, a.rows)
	return took
}
