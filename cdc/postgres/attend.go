package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
)

const (
	// attendInterval is how often it is asked what capture waits for.
	attendInterval = time.Second
	// attendSession is after how long without a question the server ends the session: that of a host that is gone must
	// not look like a capture for long. In milliseconds.
	attendSession = "30000"
	attendAnswer  = "5000" // milliseconds that an answer may take
)

// Attend implements cdc.Source. It has one connection, which is opened again when it is lost; errors are not reported,
// since people who work with the server meet them.
func (s *Source) Attend(ctx context.Context, tell func(*cdc.Problem)) (done func()) {
	login := s.options.Login.With("idle_session_timeout", attendSession).With("statement_timeout", attendAnswer)
	login.Name = AttendName(s.options.Slot)
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { attend(ctx, login, s.options.Slot, tell) })
	return func() { cancel(); wait.Wait() }
}

func attend(ctx context.Context, login Login, slot string, tell func(*cdc.Problem)) {
	var conn *pgx.Conn
	var told string
	tick := time.NewTicker(attendInterval)
	defer tick.Stop()
	for {
		if conn == nil || conn.IsClosed() {
			conn, _ = login.Connect(ctx) // tried again at the next tick
		}
		if conn != nil {
			if found, err := Waits(ctx, conn, slot); err == nil && textOf(found) != told {
				told = textOf(found)
				tell(found)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if conn != nil {
				closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				_ = conn.Close(closing) // nothing is open on it
				cancel()
			}
			return
		}
	}
}

func textOf(p *cdc.Problem) string {
	if p == nil {
		return ""
	}
	return p.Error()
}

// waitsSQL finds the session at the root of what sessions of capture ($1, $2) wait for: of those that keep them, and
// keep these, one that waits for none; the one whose transaction is the oldest. 0 is a prepared transaction. What
// another role does is seen only with pg_read_all_stats. Of a query no more than its first word leaves the server.
const waitsSQL = `
WITH RECURSIVE keeps (pid) AS (
  SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(pid)) FROM pg_stat_activity
  WHERE datname = pg_catalog.current_database() AND application_name IN ($1, $2) AND wait_event_type = 'Lock'
  UNION SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(keeps.pid)) FROM keeps WHERE keeps.pid <> 0)
SELECT k.pid, coalesce(a.usename::text, ''), coalesce(a.state, ''), coalesce(a.backend_type, ''),
  coalesce(pg_catalog.upper(pg_catalog.substring(a.query, '^\s*([A-Za-z]+)')), ''),
  coalesce(a.xact_start, CASE WHEN k.pid = 0 THEN (SELECT pg_catalog.min(prepared) FROM pg_prepared_xacts) END)
FROM keeps k LEFT JOIN pg_stat_activity a ON a.pid = k.pid
WHERE k.pid = 0 OR pg_catalog.cardinality(pg_catalog.pg_blocking_pids(k.pid)) = 0
ORDER BY a.xact_start, k.pid LIMIT 1`

// shownStatements are the first words of queries that are shown. Anything else may be a part of a value.
var shownStatements = []string{
	"ALTER", "ANALYZE", "BEGIN", "CALL", "CLUSTER", "COMMENT", "COMMIT", "COPY", "CREATE", "DECLARE", "DELETE", "DO", "DROP", "EXECUTE", "FETCH",
	"GRANT", "INSERT", "LOCK", "MERGE", "PREPARE", "REFRESH", "REINDEX", "RELEASE", "REVOKE", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW",
	"START", "TABLE", "TRUNCATE", "UPDATE", "VACUUM", "VALUES", "WITH",
}

// Waits says which session of somebody else keeps a capture of this database waiting, by a lock or by a transaction
// that a new slot has to see the end of, and what ends that; nil if none does. It holds nothing of a query but its
// first word.
func Waits(ctx context.Context, q Querier, slot string) (*cdc.Problem, error) {
	var pid int32
	var user, state, kind, statement string
	var since *time.Time
	err := q.QueryRow(ctx, waitsSQL, CaptureName, CopyName(slot)).Scan(&pid, &user, &state, &kind, &statement, &since)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask what capture waits for: %w", err)
	}
	who := fmt.Sprintf("process %d", pid)
	if pid == 0 {
		who = "a prepared transaction"
	}
	if user != "" {
		who += " of role " + user
	}
	facts := []string{who}
	if kind != "" && kind != "client backend" {
		facts = append(facts, kind)
	}
	if state != "" {
		facts = append(facts, state)
	}
	if slices.Contains(shownStatements, statement) {
		facts = append(facts, "last statement "+statement)
	}
	if since != nil {
		facts = append(facts, "since "+since.UTC().Format(time.RFC3339))
	}
	p := cdc.Failed("capture waits in Postgres for the end of somebody's transaction (%s)", strings.Join(facts, ", ")).Keeps("Then it goes on by itself")
	if pid == 0 {
		return p.Fix("end that transaction: SELECT gid FROM pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED"), nil
	}
	return p.Fix("end that transaction").FixBy("a superuser", "SELECT pg_catalog.pg_terminate_backend(%d)", pid), nil
}
