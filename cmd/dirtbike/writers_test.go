package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// writersSchema has a small integer key, a composite key, a table that is truncated now and then, and TOASTed values.
const writersSchema = `
CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL, balance numeric(12,2), body text, tags text[], opened date, seen timestamptz);
ALTER TABLE accounts ALTER body SET STORAGE EXTERNAL;
CREATE TABLE entries (account bigint, line int, code varchar(10), amount numeric(20,4), PRIMARY KEY (account, line));
CREATE TABLE full_rows (id uuid PRIMARY KEY, note text);
ALTER TABLE full_rows REPLICA IDENTITY FULL;
ALTER TABLE full_rows ALTER note SET STORAGE EXTERNAL;
CREATE TABLE scratch (id int PRIMARY KEY, v text);
CREATE TABLE foreign_traffic (id int);`

// think is how long a client rests between two transactions, on average: traffic at every moment, and no more of it
// than what judges the test at its end needs, which reads all of it again.
const think = 40 * time.Millisecond

// writers run random transactions by several clients until stopped.
type writers struct {
	stop         context.CancelFunc
	wait         sync.WaitGroup
	transactions atomic.Int64
	errs         chan error
	// reconnect says that writers wait for a server that does not answer.
	reconnect atomic.Bool
}

func startWriters(t *testing.T, url string, clients int, seed uint64) *writers {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &writers{stop: stop, errs: make(chan error, clients)}
	for i := range clients {
		w.wait.Add(1)
		go func() {
			defer w.wait.Done()
			if err := w.client(ctx, url, rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
				w.errs <- err
			}
		}()
	}
	t.Cleanup(stop)
	return w
}

// finish stops the clients and fails the test if one of them had failed.
func (w *writers) finish(t *testing.T) {
	t.Helper()
	w.stop()
	w.wait.Wait()
	close(w.errs)
	for err := range w.errs {
		require.NoError(t, err)
	}
	require.NotZero(t, w.transactions.Load())
	t.Logf("writers committed %d transactions", w.transactions.Load())
}

func (w *writers) client(ctx context.Context, url string, r *rand.Rand) error {
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }() // the test is over
	for ctx.Err() == nil {
		<-time.After(time.Duration(r.IntN(int(2 * think)))) // traffic, and not all that the machine can do
		err := w.transaction(conn, r)
		switch {
		case err == nil, retryable(err):
		case w.reconnect.Load() && conn.IsClosed():
			if conn, err = reconnected(ctx, url, conn); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// reconnected tries until the server is back, or ctx ends.
func reconnected(ctx context.Context, url string, conn *pgx.Conn) (*pgx.Conn, error) {
	for ctx.Err() == nil {
		if again, err := pgx.Connect(context.Background(), url); err == nil {
			return again, nil
		}
		<-time.After(100 * time.Millisecond)
	}
	return conn, nil
}

func retryable(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "40P01" || pgErr.Code == "40001" || pgErr.Code == "23505")
}

func (w *writers) transaction(conn *pgx.Conn, r *rand.Rand) error {
	ctx := context.Background() // a transaction that has begun ends, so that nothing is left half done
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after Commit it does nothing
	for range 1 + r.IntN(8) {
		sql, args := statement(r)
		if r.IntN(12) == 0 { // a sub-transaction that is taken back
			if _, err := tx.Exec(ctx, "SAVEPOINT s"); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, sql, args...); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "ROLLBACK TO s"); err != nil {
				return err
			}
			continue
		}
		if _, err := tx.Exec(ctx, sql, args...); err != nil {
			return err
		}
	}
	if r.IntN(20) == 0 {
		return tx.Rollback(ctx)
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	w.transactions.Add(1)
	return nil
}

func big(r *rand.Rand) string {
	return strings.Repeat(string(rune('a'+r.IntN(26))), 2500+r.IntN(3000))
}

// statement draws one change.
func statement(r *rand.Rand) (string, []any) {
	id := r.IntN(2000)
	switch r.IntN(16) {
	case 0, 1, 2:
		return `INSERT INTO accounts VALUES ($1, $2, $3::numeric, $4, ARRAY['x', NULL, $2], '2024-02-29', now())
			ON CONFLICT (id) DO UPDATE SET balance = accounts.balance + 1`, []any{id, fmt.Sprintf("name %d", id), fmt.Sprintf("%d.%02d", r.IntN(100000), r.IntN(100)), big(r)}
	case 3, 4, 5: // the TOASTed body stays as it is
		return `UPDATE accounts SET balance = coalesce(balance, 0) + 0.01, seen = 'infinity' WHERE id = $1`, []any{id}
	case 6:
		return `UPDATE accounts SET body = $2, name = '' WHERE id = $1`, []any{id, big(r)}
	case 7: // a key change, with the TOASTed body unchanged
		return `UPDATE accounts SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM accounts WHERE id = $2)`, []any{id, 2000 + r.IntN(2000)}
	case 8:
		return `DELETE FROM accounts WHERE id = $1`, []any{id}
	case 9, 10:
		return `INSERT INTO entries SELECT $1, g, 'c' || g, g * 1.2345 FROM generate_series(1, $2) g ON CONFLICT (account, line) DO UPDATE SET amount = NULL`, []any{id, 1 + r.IntN(20)}
	case 11:
		return `DELETE FROM entries WHERE account = $1 AND line > $2`, []any{id, r.IntN(20)}
	case 12:
		return `INSERT INTO full_rows VALUES (md5($1::int::text)::uuid, $2) ON CONFLICT (id) DO UPDATE SET id = gen_random_uuid()`, []any{id, big(r)}
	case 13:
		return `UPDATE full_rows SET id = md5($2::int::text)::uuid WHERE id = md5($1::int::text)::uuid AND NOT EXISTS (SELECT FROM full_rows WHERE id = md5($2::int::text)::uuid)`, []any{id, 5000 + r.IntN(2000)}
	case 14:
		if r.IntN(40) == 0 {
			return `TRUNCATE scratch`, nil
		}
		return `INSERT INTO scratch SELECT g, $1::int::text FROM generate_series(1, 30) g ON CONFLICT (id) DO UPDATE SET v = excluded.v || scratch.id`, []any{id}
	default:
		return `INSERT INTO foreign_traffic VALUES ($1)`, []any{id}
	}
}
