package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestRereadWaitsUntilVisible changes keys of rows with TOASTed values in transactions whose commit waits for a
// synchronous standby that does not exist: they are in the log, and streamed, but no snapshot sees them. A re-read
// before that would take the key's former row for the present one, or find none and call it gone (rule 17).
func TestRereadWaitsUntilVisible(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{postgres: "17"}, `
CREATE TABLE docs (id int PRIMARY KEY, v text); ALTER TABLE docs ALTER v SET STORAGE EXTERNAL;
INSERT INTO docs VALUES (1, repeat('one', 1000)), (2, repeat('two', 1000))`)
	l := r.start("run")
	r.wait()
	admin := r.pg()
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`, `SELECT pg_reload_conf()`} {
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	committed := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(context.Background(), r.url)
		if err == nil {
			defer conn.Close(context.Background()) // the test is over
			// key 1 now belongs to the row that was 2, and 3 to the one that was 1
			_, err = conn.Exec(context.Background(), `BEGIN; SET LOCAL synchronous_commit = on; UPDATE docs SET id = 3 WHERE id = 1; UPDATE docs SET id = 1 WHERE id = 2; COMMIT`)
		}
		committed <- err
	}()
	watch := r.pg() // its own: a poll may still be under way when the next statement runs
	waiting := func() bool {
		var n int
		err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%UPDATE docs%' AND pid <> pg_backend_pid()`).Scan(&n)
		return err == nil && n == 1
	}
	require.Eventually(t, waiting, 20*time.Second, 20*time.Millisecond)
	watch = r.pg()
	// the walsender has sent it: give the capture every chance to read too early
	require.Never(t, func() bool { return !waiting() }, time.Second, 100*time.Millisecond)
	for _, sql := range []string{`ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`} {
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, <-committed)
	r.wait()
	r.equalAll()
	l.stop()
}
