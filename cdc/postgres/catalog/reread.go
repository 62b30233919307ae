package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/schemas"
)

// errRenamed says that the names in a query mean other columns than they did, so that a value would perhaps be one that
// is withheld.
var errRenamed = errors.New("the table or its columns were renamed meanwhile")

// shortestPatience is what is left of a re-read's patience after many have given up.
const shortestPatience = 100 * time.Millisecond

// patience is how long the next re-read waits. Capture of all tables waits meanwhile, so that each one that gave up
// within the last minute halves it: many tables that one transaction has locked hold all others no longer than two.
func (t *Tables) patience() time.Duration {
	if time.Since(t.gaveUpAt) > time.Minute {
		t.gaveUp = 0
	}
	return max(t.options.RereadPatience>>min(t.gaveUp, 10), min(shortestPatience, t.options.RereadPatience))
}

// errNotVisible says that the transaction is still in progress for others.
var errNotVisible = errors.New("the transaction is committed in the log but cannot be seen yet (does its commit wait for a synchronous standby?)")

// Reread implements cdc.Rereader: it asks for the columns by the row's key. The connection is kept for the next time.
func (t *Tables) Reread(ctx context.Context, relation, xid uint32, row cdc.Tuple, columns []int) (cdc.Tuple, bool, error) {
	k, err := t.find(relation)
	if err != nil {
		return nil, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	patience := t.patience()
	if t.reread == nil || t.reread.IsClosed() || t.rereadFor != patience {
		t.closeReread(ctx)
		limit := strconv.FormatInt(patience.Milliseconds(), 10)
		if t.reread, err = t.options.Login.With("statement_timeout", limit).Connect(ctx); err != nil {
			return nil, false, cdc.Failed("re-read %s", k.rel.FullName()).Of(cdc.ErrUnreachable).Because(err)
		}
		t.rereadFor = patience
	}
	query := rereadQuery(k.rel, row, columns)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 2*time.Millisecond, 250*time.Millisecond
	fields, err := backoff.Retry(ctx, func() ([][]byte, error) { return t.rereadOnce(ctx, k.rel, query, xid) },
		backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(patience))
	if err != nil {
		t.closeReread(ctx) // a new one next time
		if outOfPatience(err) {
			t.gaveUp, t.gaveUpAt = t.gaveUp+1, time.Now()
		}
		return nil, false, t.rereadError(ctx, k, err)
	}
	if fields == nil {
		return nil, false, nil
	}
	out := make(cdc.Tuple, len(columns))
	for i, field := range fields[:len(columns)] {
		out[i] = cdc.Datum{Kind: cdc.DatumText, Data: field}
		if field == nil {
			out[i].Kind = cdc.DatumNull
		}
	}
	return out, true, nil
}

// rereadOnce gives the row's fields, nil if there is no row; errNotVisible is worth another try, other errors are not.
func (t *Tables) rereadOnce(ctx context.Context, rel *schemas.Relation, q statement, xid uint32) ([][]byte, error) {
	result := t.reread.PgConn().ExecParams(ctx, q.sql, q.values, q.oids, q.formats, nil).Read()
	if result.Err != nil {
		return nil, backoff.Permanent(result.Err)
	}
	if err := q.asked(rel, result.FieldDescriptions[2:]); err != nil {
		return nil, backoff.Permanent(err)
	}
	if len(result.Rows) != 1 {
		return nil, backoff.Permanent(fmt.Errorf("%d rows have one key", len(result.Rows)))
	}
	fields := result.Rows[0]
	seen, err := visible(string(fields[0]), xid)
	switch {
	case err != nil:
		return nil, backoff.Permanent(err)
	case !seen:
		return nil, errNotVisible
	case fields[1] == nil:
		return nil, nil
	}
	return fields[2:], nil
}

// visible reports whether a snapshot, in pg_snapshot's text form, sees a transaction; 0 is any.
func visible(snapshot string, xid uint32) (bool, error) {
	if xid == 0 {
		return true, nil
	}
	v, err := cdc.ParseVisibility(snapshot)
	return v.Sees(xid), err
}

// rereadError blames the table for what asking again would not change: a missing right, a column that is gone (class
// 42), or a key that cannot be read (class 22). A lock, or a commit that nobody sees, for longer than all other tables
// can wait is the table's, too, and so is what is not known: it waits, and is tried again. The server's error is not
// passed on: it may quote the key, which is the plain value of a column that may be hashed.
func (t *Tables) rereadError(ctx context.Context, k *known, err error) error {
	var pg *pgconn.PgError
	problem := cdc.Failed("re-read columns of %s that an update left out", k.rel.FullName())
	fix := func(p *cdc.Problem, why string) *cdc.Problem {
		if k.noFull { // a new copy is left
			return p
		}
		return p.Fix("ALTER TABLE %s REPLICA IDENTITY FULL%s", k.rel.SQLName(), why)
	}
	if large := postgres.TooLarge(err); large != nil {
		large.What = problem.What + ": " + large.What
		return large
	}
	if errors.Is(err, errRenamed) {
		return problem.Because(err).ThenCopy(k.rel.FullName())
	}
	const unneeded = ", so that nothing has to be re-read"
	if errors.Is(err, errNotVisible) {
		return &cdc.TableTrouble{Err: fix(problem.Because(err), unneeded)}
	}
	if !errors.As(err, &pg) {
		return problem.Of(cdc.ErrUnreachable).Because(err)
	}
	said := errors.New(postgres.Said(pg))
	switch problem = problem.Because(said); {
	case outOfPatience(err):
		return &cdc.TableTrouble{Err: fix(problem.Because(fmt.Errorf("the table is locked, or does not answer: %w", said)), unneeded)}
	case pg.Code == "42501": // insufficient_privilege
		return fix(t.options.Login.MayRead(ctx, problem, k.cdc), "")
	case strings.HasPrefix(pg.Code, "42"), postgres.BadValue(pg.Code):
		return fix(problem, "")
	case postgres.Passing(pg):
		return problem.Of(cdc.ErrUnreachable)
	}
	return &cdc.TableTrouble{Err: fix(problem, "")}
}

// outOfPatience reports whether a re-read gave up because others could not wait any longer.
func outOfPatience(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errNotVisible) || errors.As(err, &pg) && (pg.Code == "57014" || pg.Code == "55P03") // query_canceled, lock_not_available
}

// statement is a query with its parameters.
type statement struct {
	columns []int // of the relation, whose values it gives; the key follows them
	sql     string
	values  [][]byte
	oids    []uint32
	formats []int16
}

// rereadQuery selects columns by the key, whose values are sent in the form in which they came; the first two columns
// are the statement's own snapshot and whether the row exists, the last ones the key. The result comes in the
// protocol's text form, which is the output function's; a cast to text would not always be (char(n), inet).
func rereadQuery(rel *schemas.Relation, row cdc.Tuple, columns []int) statement {
	q := statement{columns: append(slices.Clone(columns), rel.Key...), formats: make([]int16, len(rel.Key))}
	names := make([]string, len(q.columns))
	for i, c := range q.columns {
		names[i] = pgx.Identifier{rel.Columns[c].Name}.Sanitize()
	}
	wheres := make([]string, len(rel.Key))
	for i, c := range rel.Key {
		wheres[i] = fmt.Sprintf("%s = $%d", pgx.Identifier{rel.Columns[c].Name}.Sanitize(), i+1)
		q.values, q.oids = append(q.values, row[c].Data), append(q.oids, rel.Columns[c].Type.Base)
		if row[c].Kind == cdc.DatumBinary {
			q.formats[i] = 1
		}
	}
	q.sql = "SELECT pg_catalog.pg_current_snapshot(), r.* FROM (VALUES (1)) AS one LEFT JOIN (SELECT true, " + strings.Join(names, ", ") +
		" FROM ONLY " + pgx.Identifier{rel.Schema, rel.Name}.Sanitize() + " WHERE " + strings.Join(wheres, " AND ") + ") AS r ON true"
	return q
}

// asked compares what the server says of the columns of the answer with those that were meant.
func (q *statement) asked(rel *schemas.Relation, fields []pgconn.FieldDescription) error {
	for i, c := range q.columns {
		if f := fields[i]; f.TableOID != rel.OID || f.TableAttributeNumber != uint16(rel.Columns[c].Attnum) { //nolint:gosec // attnums here are positive
			return errRenamed
		}
	}
	return nil
}

// Close closes the re-read connection.
func (t *Tables) Close(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeReread(ctx)
}

func (t *Tables) closeReread(ctx context.Context) {
	if t.reread != nil {
		_ = t.reread.Close(ctx) // read only: nothing is lost with it
	}
}
