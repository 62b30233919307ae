package pgcopy

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

var recordFrom = flag.String("record-from", "", "record the goldens again from the Postgres at this URL, any; nothing is written to it")

// queries are what the goldens copy; their names are the files'.
var queries = map[string]string{
	"claims": `SELECT n::bigint, n::int, 'clinic ' || n, n * 1.25::numeric(10,2), date '2026-01-01' + n, n % 2 = 0,
timestamptz '2026-01-02 03:04:05.678901Z' + n * interval '1 hour', NULLIF(n, 2)::smallint, '{1,NULL}'::int[] FROM generate_series(1, 4) n`,
	"null_and_empty": `SELECT * FROM (VALUES (''::text, NULL::text, ''::bytea), (NULL, '', NULL), (NULL, NULL, NULL)) v`,
	"wide":           `SELECT repeat('wide ', 400), 1 FROM generate_series(1, 2)`,
	"no_rows":        `SELECT 1 WHERE false`,
	"no_columns":     `SELECT FROM generate_series(1, 3)`,
}

// golden is one recorded COPY: the chunks as they came, and the rows of the same query as the extended protocol sent
// them.
type golden struct {
	chunks [][]byte
	rows   []string
}

// TestRecord writes the goldens again: go test ./cdc/postgres/pgcopy -run TestRecord -record-from postgres://…
func TestRecord(t *testing.T) {
	if *recordFrom == "" {
		return // The goldens are in testdata; the other tests fail if one is missing.
	}
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, *recordFrom)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	require.NoError(t, os.MkdirAll("testdata", 0o755))
	for name, query := range queries {
		var b strings.Builder
		fmt.Fprintf(&b, "# Recorded from PostgreSQL %s: go test ./cdc/postgres/pgcopy -run TestRecord -record-from URL\n", conn.ParameterStatus("server_version"))
		_, err := conn.CopyTo(ctx, chunkWriter{&b}, "COPY ("+query+") TO STDOUT (FORMAT binary)")
		require.NoError(t, err)
		result := conn.ExecParams(ctx, query, nil, nil, nil, []int16{1}).Read()
		require.NoError(t, result.Err)
		for _, row := range result.Rows {
			b.WriteString(rowLine(row) + "\n")
		}
		require.NoError(t, os.WriteFile(goldenPath(name), []byte(b.String()), 0o644))
	}
}

// chunkWriter writes each CopyData message as a line.
type chunkWriter struct{ to *strings.Builder }

func (w chunkWriter) Write(b []byte) (int, error) {
	_, err := fmt.Fprintf(w.to, "chunk %x\n", b)
	return len(b), err
}

// rowLine writes NULL, ” for an empty value, and hexadecimal digits for any other.
func rowLine(fields [][]byte) string {
	var line strings.Builder
	line.WriteString("row")
	for _, f := range fields {
		switch {
		case f == nil:
			line.WriteString(" NULL")
		case len(f) == 0:
			line.WriteString(" ''")
		default:
			line.WriteString(" " + hex.EncodeToString(f))
		}
	}
	return line.String()
}

func goldenPath(name string) string { return filepath.Join("testdata", name+".golden") }

func load(t testing.TB, name string) golden {
	t.Helper()
	text, err := os.ReadFile(goldenPath(name))
	require.NoError(t, err, "a golden is missing. Try: go test ./cdc/postgres/pgcopy -run TestRecord -record-from URL")
	var g golden
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch digits, ok := strings.CutPrefix(line, "chunk "); {
		case ok:
			chunk, err := hex.DecodeString(digits)
			require.NoError(t, err)
			g.chunks = append(g.chunks, chunk)
		case strings.HasPrefix(line, "row"):
			g.rows = append(g.rows, line)
		}
	}
	require.NotEmpty(t, g.chunks)
	return g
}
