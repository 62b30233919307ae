package wait

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// Source is a connection to Postgres. It is not safe for concurrent use.
type Source struct{ Conn *pgconn.PgConn }

// Connect opens a connection whose text form of values is fixed and whose transactions are REPEATABLE READ. Commits of
// its own wait for no standby.
func Connect(ctx context.Context, url string) (*Source, error) {
	settings := map[string]string{"default_transaction_isolation": "repeatable read", "synchronous_commit": "local"}
	conn, err := postgres.Login{URL: url, Name: postgres.MonitorName, Settings: settings}.ConnectPlain(ctx)
	if err != nil {
		return nil, err
	}
	return &Source{conn}, nil
}

// Reconnect replaces *s by a new connection if it is nil or closed.
func Reconnect(ctx context.Context, s **Source, url string) (err error) {
	if *s == nil || (*s).Conn.IsClosed() {
		*s, err = Connect(ctx, url)
	}
	return err
}

// Close ends the connection, if there is one.
func (s *Source) Close(ctx context.Context) {
	if s != nil {
		_ = s.Conn.Close(ctx) // nothing is open on it
	}
}

// Query runs a statement with parameters in text form and calls row with each row's text; a nil value is NULL. The
// values are valid during the call only.
func (s *Source) Query(ctx context.Context, sql string, params [][]byte, oids []uint32, row func(values [][]byte) error) error {
	result := s.Conn.ExecParams(ctx, sql, params, oids, nil, nil)
	var failed error
	for result.NextRow() {
		if failed == nil {
			failed = row(result.Values())
		}
	}
	if _, err := result.Close(); err != nil {
		return sourceError(err)
	}
	return failed
}

// sourceError keeps Postgres' code and drops its message, which may quote a value.
func sourceError(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return cdc.Failed("Postgres refused a query (SQLSTATE %s)", pgErr.Code).Fix("see Postgres' own log")
	}
	return cdc.Failed("Postgres").Of(cdc.ErrUnreachable).Because(err).Fix("see that Postgres runs and source.url is right")
}

// Text gives the only value of the only row.
func (s *Source) Text(ctx context.Context, sql string) (out string, err error) {
	err = s.Query(ctx, sql, nil, nil, func(values [][]byte) error {
		out = string(values[0])
		return nil
	})
	return out, err
}

func (s *Source) position(ctx context.Context, sql string) (cdc.LSN, error) {
	at, err := s.Text(ctx, sql)
	if err != nil {
		return 0, fmt.Errorf("ask for a position of the log: %w", err)
	}
	return cdc.ParseLSN(at)
}

// InsertLSN is where the next record of the log will be written.
func (s *Source) InsertLSN(ctx context.Context) (cdc.LSN, error) {
	return s.position(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()")
}

// EmitMessage commits a logical message with the name of the verb, so that an idle log ends after every position read
// before. It gives the message's own position.
func (s *Source) EmitMessage(ctx context.Context, who string) (cdc.LSN, error) {
	return s.position(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'dirtbike', '"+who+"')")
}

// target is what to wait for: on a primary the position of a message, on a standby what has been replayed.
func (s *Source) target(ctx context.Context) (cdc.LSN, error) {
	standby, err := s.Text(ctx, "SELECT pg_catalog.pg_is_in_recovery()")
	if err != nil {
		return 0, err
	}
	if standby == "f" {
		return s.EmitMessage(ctx, "wait")
	}
	return s.position(ctx, "SELECT pg_catalog.pg_last_wal_replay_lsn()")
}
