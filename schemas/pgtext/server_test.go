package pgtext

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// settings are those of every session of this module.
const settings = "SET extra_float_digits = 1; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = hex; SET IntervalStyle = postgres"

// connect starts a Postgres for the test.
func connect(t *testing.T) *pgconn.PgConn {
	t.Helper()
	ctx := t.Context()
	server := embeddedtest.Postgres(t, "", nil)
	conn, err := pgconn.Connect(ctx, server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(ctx, settings).ReadAll()
	require.NoError(t, err)
	return conn
}

// value is one value in the two forms in which Postgres gives it.
type value struct {
	text   string
	binary []byte
}

// ask has the server read the literals as the type, and gives what its output and its send function make of them.
func ask(t *testing.T, conn *pgconn.PgConn, typ string, literals []string) []value {
	t.Helper()
	const textFormat, binaryFormat = 0, 1
	sql := "SELECT v, v FROM (SELECT x::" + typ + " AS v, n FROM unnest($1::text[]) WITH ORDINALITY AS u(x, n)) s ORDER BY n"
	res := conn.ExecParams(context.Background(), sql, [][]byte{arrayLiteral(literals)}, nil, nil, []int16{textFormat, binaryFormat}).Read()
	require.NoError(t, res.Err, typ)
	require.Len(t, res.Rows, len(literals))
	var out []value
	for _, row := range res.Rows {
		out = append(out, value{string(row[0]), row[1]})
	}
	return out
}

// arrayLiteral quotes every element.
func arrayLiteral(elems []string) []byte {
	b := []byte{'{'}
	for i, e := range elems {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for _, c := range []byte(e) {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '"')
	}
	return append(b, '}')
}
