package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"dirtbike/cdc"

	"github.com/stretchr/testify/require"
)

// claimsLog is a stretch of Postgres' log that holds inserts of claims, and a slot in front of it. Each pass reads it through a
// copy of the slot.
type claimsLog struct {
	*claimsBench
	rows  int64
	end   cdc.LSN // everything up to here has been read when a pass ends
	slots int
}

// newLog makes the slot, then fills the table.
func (b *claimsBench) newLog(rows int64) *claimsLog {
	b.Helper()
	l := &claimsLog{claimsBench: b, rows: rows}
	b.exec("SELECT pg_create_logical_replication_slot('bench', 'pgoutput')")
	b.fill(rows)
	var end string
	require.NoError(b, b.conn.QueryRow(b.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end))
	var err error
	l.end, err = cdc.ParseLSN(end)
	require.NoError(b, err)
	return l
}

// slot copies the slot for one pass; drop removes the copy, once the server has noticed that its reader is gone.
func (l *claimsLog) slot() (name string, drop func()) {
	l.Helper()
	l.slots++
	name = fmt.Sprintf("pass_%d", l.slots)
	l.exec("SELECT pg_copy_logical_replication_slot('bench', '" + name + "')")
	return name, func() {
		l.Helper()
		l.exec("SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active AND slot_name = '" + name + "'")
		l.exec("SELECT pg_drop_replication_slot('" + name + "')")
	}
}

// BenchmarkStream compares the stream's row path, from the connection to encoded Avro, with pg_recvlogical, which drains the
// same log over TCP into nothing.
func BenchmarkStream(b *testing.B) {
	tool := pgRecvlogical(b)
	l := newClaimsBench(b).newLog(*streamRows)
	t := turns{rows: *streamRows}
	for b.Loop() {
		t.alternate(*alternations, func() time.Duration { return l.reference(tool) }, l.product)
	}
	t.report(b, "stream", leastStreamRatio)
}

// pgRecvlogical finds Postgres' own client. Debian's in PATH is a script that looks for the right version, so the program
// itself comes first.
func pgRecvlogical(b *testing.B) string {
	b.Helper()
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_recvlogical"); err == nil && len(found) > 0 {
		return found[len(found)-1]
	}
	return requireTool(b, "pg_recvlogical", "apt-get install postgresql-client")
}

// reference drains the log with pg_recvlogical.
func (l *claimsLog) reference(tool string) time.Duration {
	l.Helper()
	slot, drop := l.slot()
	defer drop()
	cmd := exec.CommandContext(l.Context(), tool, "--start", "--dbname", l.url, "--slot", slot, "--plugin", "pgoutput",
		"--option", "proto_version=1", "--option", "publication_names=bench", "--file", os.DevNull, "--no-loop", "--endpos", l.end.String())
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	require.NoError(l, err, "pg_recvlogical: %s", out)
	return took
}

// product reads the log as the capture loop does, on one goroutine, and encodes each row into a reused chunk.
func (l *claimsLog) product(a *allocations) time.Duration {
	l.Helper()
	slot, drop := l.slot()
	defer drop()
	ctx := l.Context()
	start := time.Now()
	stream, err := l.source(slot).Stream(ctx, 0, l.table.Binary)
	require.NoError(l, err)
	require.NoError(l, l.read(ctx, stream, a))
	took := time.Since(start)
	require.Equal(l, l.rows, a.rows)
	require.NoError(l, stream.Close(context.WithoutCancel(ctx)))
	return took
}

// read encodes every row up to the end.
func (l *claimsLog) read(ctx context.Context, stream cdc.Stream, a *allocations) error {
	m := cdc.Meta{Generation: 1, Now: time.Now().UnixMicro()}
	for {
		e, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		switch e.Kind {
		case cdc.EventBegin:
			m.Position, m.XID, m.CommitTime = cdc.Position{Epoch: 1, CommitLSN: e.CommitLSN}, e.XID, e.CommitTime
		case cdc.EventRelation:
			if err := l.tables.Match(l.table, e.Described); err != nil {
				return err
			}
		case cdc.EventInsert:
			m.Position.Ordinal++
			m.LSN = e.LSN
			if err := l.encoder.Insert(&l.chunk, &m, e.New); err != nil {
				return err
			}
			l.discard(&m)
			a.row()
		case cdc.EventKeepalive:
			if e.WALEnd >= l.end {
				return nil
			}
		case cdc.EventCommit:
			if e.EndLSN >= l.end {
				return nil
			}
		case cdc.EventNone, cdc.EventUpdate, cdc.EventDelete, cdc.EventTruncate, cdc.EventWake:
			return fmt.Errorf("an event of kind %d in a log of inserts", e.Kind)
		}
	}
}
