package postgres

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestConnectErrorSaysEachAttemptOnce: pgconn tries with TLS and without, and each address of a name.
func TestConnectErrorSaysEachAttemptOnce(t *testing.T) {
	lookup := func(_ context.Context, host string) ([]string, error) {
		if host == "nowhere" {
			return nil, &net.DNSError{Err: "no such host", Name: host}
		}
		return []string{"127.0.0.1", "127.0.0.2"}, nil
	}
	for url, want := range map[string]string{
		"postgres://u:hunter2@127.0.0.1:1/x":                  "connect to Postgres at 127.0.0.1:1: connection refused",
		"postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable":  "connect to Postgres at 127.0.0.1:1: connection refused",
		"postgres://u:hunter2@127.0.0.1:1,127.0.0.1:2/x":      "connect to Postgres at 127.0.0.1:1: connection refused; 127.0.0.1:2: connection refused",
		"postgres://u:hunter2@two:1/x":                        "connect to Postgres at two:1: 127.0.0.1:1: connection refused; 127.0.0.2:1: connection refused",
		"postgres://u:hunter2@nowhere:1/x":                    "connect to Postgres at nowhere:1: lookup nowhere: no such host",
		"host=/nowhere/at/all user=u password=hunter2 port=1": "connect to Postgres at /nowhere/at/all:1: /nowhere/at/all/.s.PGSQL.1: no such file or directory",
	} {
		config, err := pgconn.ParseConfig(url)
		require.NoError(t, err)
		if config.Host == "two" || config.Host == "nowhere" {
			config.LookupFunc = lookup
		}
		_, err = pgconn.ConnectConfig(t.Context(), config)
		var problem *cdc.Problem
		require.ErrorAs(t, ConnectError(err), &problem)
		require.ErrorIs(t, problem, cdc.ErrUnreachable)
		require.NotEmpty(t, problem.Remedies())
		require.Equal(t, want, cdc.Explain(problem).What, url)
		var connect *net.OpError
		require.Equal(t, config.Host != "nowhere", errors.As(ConnectError(err), &connect), "the cause stays known")
	}
}

// TestMissingRightCanBeTyped: what gives the right names role and database.
func TestMissingRightCanBeTyped(t *testing.T) {
	const user = "dirt-bike"
	require.Equal(t, `ALTER ROLE "dirt-bike" REPLICATION`, grant("permission denied to start WAL sender", user, "clinic"))
	require.Equal(t, `GRANT CONNECT ON DATABASE "clinic" TO "dirt-bike"`, grant(`permission denied for database "clinic"`, user, "clinic"))
	require.Equal(t, "give the role of source.url the attribute REPLICATION", grant("permission denied to start WAL sender", "", ""))
	err := ConnectError(&pgconn.PgError{Code: "42501", Message: "must be superuser or replication role to start walsender"})
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.NotContains(t, err.Error(), "…")
}
