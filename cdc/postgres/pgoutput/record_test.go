package pgoutput

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// TestRecord writes the goldens again, with -update only: go test ./cdc/postgres/pgoutput -run TestRecord -update. One
// scenario needs Postgres 16 or later: add -pgbin and, to record it alone, -run TestRecord/stream_parallel.
func TestRecord(t *testing.T) {
	if !*update {
		return // The goldens are in testdata; TestGoldens fails if one is missing.
	}
	url := startServer(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { record(t, url, s) })
	}
}

// recording is one scenario under way.
type recording struct {
	t      *testing.T
	s      scenario
	stream *pgconn.PgConn
	got    [][]byte
}

func record(t *testing.T, url string, s scenario) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := connect(ctx, t, url)
	runSQL(ctx, t, admin, "DROP DATABASE IF EXISTS "+s.name)
	runSQL(ctx, t, admin, "CREATE DATABASE "+s.name)
	url = strings.Replace(url, "/postgres?", "/"+s.name+"?", 1)
	writer := connect(ctx, t, url)
	version := writer.ParameterStatus("server_version")
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	require.NoError(t, err)
	if major < s.since {
		t.Fatalf("recording %s needs Postgres %d, this is %s. Try: -pgbin DIR", s.name, s.since, version)
	}
	runSQL(ctx, t, writer, s.setup)
	runSQL(ctx, t, writer, "CREATE PUBLICATION golden "+s.publication)
	runSQL(ctx, t, writer, fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", s.name))

	r := recording{t: t, s: s, stream: connect(ctx, t, url+"&replication=database&application_name=recorder")}
	if s.frames {
		runSQL(ctx, t, r.stream, "SET wal_sender_timeout = '1s'")
	}
	options := append(s.options, "publication_names 'golden'")
	require.NoError(t, pglogrepl.StartReplication(ctx, r.stream, s.name, 0, pglogrepl.StartReplicationOptions{PluginArgs: options}))
	for _, step := range s.steps {
		runSQL(ctx, t, writer, step.sql)
		r.await(ctx, step)
	}
	require.NoError(t, r.stream.Close(ctx))
	r.write(version)
}

// await reads until the step's messages have come.
func (r *recording) await(ctx context.Context, s step) {
	for times := s.times; times > 0; {
		msg, err := r.stream.ReceiveMessage(ctx)
		require.NoError(r.t, err, "waiting for %s", s.await)
		data, ok := msg.(*pgproto3.CopyData)
		require.True(r.t, ok, "%T", msg)
		frame, err := ParseFrame(data.Data)
		require.NoError(r.t, err)
		kind := Kind(frame.Kind)
		if frame.Kind == FrameXLogData {
			kind = Kind(frame.Data[0])
		}
		switch {
		case r.s.frames:
			r.got = append(r.got, bytes.Clone(data.Data))
		case frame.Kind == FrameXLogData:
			r.got = append(r.got, bytes.Clone(frame.Data))
		}
		if kind == s.await && (frame.Kind == FrameXLogData || frame.ReplyRequested) {
			times--
		}
	}
}

func (r *recording) write(version string) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Recorded from PostgreSQL %s: go test ./cdc/postgres/pgoutput -run 'TestRecord/^%s$' -update\n", version, r.s.name)
	fmt.Fprintf(&b, "# Options: %s\n", strings.Join(r.s.options, ", "))
	g := golden{scenario: r.s, messages: r.got}
	lines := g.describe(r.t)
	for i, message := range r.got {
		fmt.Fprintf(&b, "\n%s%s", lines[i], hexLines(message))
	}
	require.NoError(r.t, os.MkdirAll("testdata", 0o755))
	require.NoError(r.t, os.WriteFile(goldenPath(r.s.name), []byte(b.String()), 0o644))
}

func connect(ctx context.Context, t *testing.T, url string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func runSQL(ctx context.Context, t *testing.T, conn *pgconn.PgConn, sql string) {
	t.Helper()
	require.NoError(t, conn.Exec(ctx, sql).Close(), sql)
}
