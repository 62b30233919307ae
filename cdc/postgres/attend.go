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
	wait.Go(func() { attend(ctx, login, tell) })
	return func() { cancel(); wait.Wait() }
}

func attend(ctx context.Context, login Login, tell func(*cdc.Problem)) {
	var conn *pgx.Conn
	var told string
	tick := time.NewTicker(attendInterval)
	defer tick.Stop()
	for {
		if conn == nil || conn.IsClosed() {
			conn, _ = login.Connect(ctx) // tried again at the next tick
		}
		if conn != nil {
			if found, err := Waits(ctx, conn); err == nil && textOf(found) != told {
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

// waiting is what may wait: whose it is, and how to find what it waits for.
type waiting struct {
	who    string
	keeps  string // the query's beginning: the sessions that are waited for, and those that these wait for; 0 is a prepared transaction
	params []any
	// prepared is the rest of the query for the prepared transaction that is waited for.
	prepared string
	alone    bool // no session need be waited for where a prepared transaction is
}

// locked are sessions of ours that wait for a lock, by a condition on pg_stat_activity.
func locked(who, condition string, params ...any) waiting {
	return waiting{who: who, keeps: `
WITH RECURSIVE waiting (pid) AS (
  SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND ` + condition + keepsSQL, params: params, prepared: preparedSQL}
}

const keepsSQL = `),
keeps (pid) AS (
  SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(pid)) FROM waiting
  UNION SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(keeps.pid)) FROM keeps WHERE keeps.pid <> 0)`

// waitsSQL finds the session at the root of what waiting sessions wait for: of those that keep them, and keep these,
// one that waits for none; the one whose transaction is the oldest. What another role does is seen only with
// pg_read_all_stats. Of a query no more than its first word leaves the server.
const waitsSQL = `
SELECT k.pid, coalesce(a.usename::text, ''), coalesce(a.state, ''), coalesce(a.backend_type, ''),
  coalesce(pg_catalog.upper(pg_catalog.substring(a.query, '^\s*([A-Za-z]+)')), ''), a.xact_start
FROM keeps k LEFT JOIN pg_stat_activity a ON a.pid = k.pid
WHERE k.pid = 0 OR pg_catalog.cardinality(pg_catalog.pg_blocking_pids(k.pid)) = 0
ORDER BY a.xact_start, k.pid LIMIT 1`

// preparedSQL finds the oldest prepared transaction that holds what one of these sessions waits for. Its locks belong
// to no process, so that its own transaction id, which it holds too, says which they are. The name that it was given,
// which may say anything, stays in the server.
const preparedSQL = `
SELECT x.transaction::text, pg_catalog.quote_ident(x.owner::text), pg_catalog.quote_ident(x.database::text), x.prepared
FROM (SELECT pid FROM waiting UNION SELECT pid FROM keeps) s
JOIN pg_locks w ON w.pid = s.pid AND NOT w.granted
JOIN pg_locks h ON h.pid IS NULL AND h.granted AND h.locktype = w.locktype
  AND (h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid, h.objsubid)
    IS NOT DISTINCT FROM (w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid, w.objsubid)
JOIN pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.virtualtransaction = h.virtualtransaction
JOIN pg_prepared_xacts x ON x.transaction = own.transactionid
ORDER BY x.prepared LIMIT 1`

// runningSQL and preparedOfSQL find sessions and prepared transactions by their transactions' ids.
const (
	runningSQL = `
WITH RECURSIVE keeps (pid) AS (
  SELECT pid FROM pg_stat_activity WHERE backend_xid::text::bigint = ANY($1)
  UNION SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(keeps.pid)) FROM keeps WHERE keeps.pid <> 0)`
	preparedOfSQL = `
SELECT x.transaction::text, pg_catalog.quote_ident(x.owner::text), pg_catalog.quote_ident(x.database::text), x.prepared
FROM pg_prepared_xacts x WHERE x.transaction::text::bigint = ANY($1) ORDER BY x.prepared LIMIT 1`
)

// shownStatements are the first words of queries that are shown. Anything else may be a part of a value.
var shownStatements = []string{
	"ALTER", "ANALYZE", "BEGIN", "CALL", "CLUSTER", "COMMENT", "COMMIT", "COPY", "CREATE", "DECLARE", "DELETE", "DO", "DROP", "EXECUTE", "FETCH",
	"GRANT", "INSERT", "LOCK", "MERGE", "PREPARE", "REFRESH", "REINDEX", "RELEASE", "REVOKE", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW",
	"START", "TABLE", "TRUNCATE", "UPDATE", "VACUUM", "VALUES", "WITH",
}

// Waits says which session of somebody else keeps a capture of this database waiting, by a lock or by a transaction
// that a new slot has to see the end of, and what ends that; nil if none does. It holds nothing of a query but its
// first word.
func Waits(ctx context.Context, q Querier) (*cdc.Problem, error) {
	return locked("capture", "application_name = $1 AND "+ofCapture, CaptureName).keptBy(ctx, q)
}

// WaitsOf says the same of the sessions of a verb, which is named, by their process ids.
func WaitsOf(ctx context.Context, q Querier, verb string, pids ...uint32) (*cdc.Problem, error) {
	return locked(verb, "pid = ANY($1)", pids).keptBy(ctx, q)
}

// WaitsForEnd says whose the oldest of these transactions is that have not ended, by their ids, of which the lower 32
// bits count; nil if all have.
func WaitsForEnd(ctx context.Context, q Querier, who string, ids []uint64) (*cdc.Problem, error) {
	short := make([]int64, len(ids))
	for i, id := range ids {
		short[i] = int64(uint32(id)) //nolint:gosec // as Postgres shows them
	}
	return waiting{who: who, keeps: runningSQL, params: []any{short}, prepared: preparedOfSQL, alone: true}.keptBy(ctx, q)
}

func (w waiting) keptBy(ctx context.Context, q Querier) (*cdc.Problem, error) {
	var pid int32
	var user, state, kind, statement string
	var since *time.Time
	err := q.QueryRow(ctx, w.keeps+waitsSQL, w.params...).Scan(&pid, &user, &state, &kind, &statement, &since)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && w.alone:
		return w.keptByPrepared(ctx, q)
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask what %s waits for: %w", w.who, err)
	}
	if pid == 0 {
		return w.keptByPrepared(ctx, q)
	}
	who := fmt.Sprintf("process %d", pid)
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
	return w.forWhom(facts).Fix("end that transaction").FixBy("a superuser", "SELECT pg_catalog.pg_terminate_backend(%d)", pid), nil
}

func (w waiting) forWhom(facts []string) *cdc.Problem {
	return cdc.Failed("%s waits in Postgres for the end of somebody's transaction (%s)", w.who, strings.Join(facts, ", ")).Keeps("Then it goes on by itself")
}

// keptByPrepared names the prepared transaction that is waited for by its id; nil if there is none any more.
func (w waiting) keptByPrepared(ctx context.Context, q Querier) (*cdc.Problem, error) {
	var id, owner, database string
	var since time.Time
	err := q.QueryRow(ctx, w.keeps+w.prepared, w.params...).Scan(&id, &owner, &database, &since)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask for the prepared transaction that %s waits for: %w", w.who, err)
	}
	facts := []string{"a prepared transaction of role " + owner + " in database " + database, "id " + id, "since " + since.UTC().Format(time.RFC3339)}
	by := owner + " or a superuser, in psql on database " + database
	return w.forWhom(facts).
		FixBy(by, `SELECT pg_catalog.format('ROLLBACK PREPARED %%L', gid) FROM pg_prepared_xacts WHERE transaction = '%s' \gexec`, id).
		FixBy(by, `SELECT pg_catalog.format('COMMIT PREPARED %%L', gid) FROM pg_prepared_xacts WHERE transaction = '%s' \gexec`, id), nil
}
