package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

// waits: whose transaction or lock keeps the creation of a slot, the publication and a copy is told, with the statement
// that ends it, nothing of its query, and that it goes on.
func waits(t *testing.T, r *rig) {
	told := make(chan *cdc.Problem, 10)
	done := r.Attend(t.Context(), func(p *cdc.Problem) { told <- p })
	var running bool
	connected := func() bool {
		err := r.conn.QueryRow(t.Context(), "SELECT "+ConnectedSQL+" AND $1 <> ''", r.options.Slot, AttendName(r.options.Slot)).Scan(&running)
		return err == nil && running
	}
	require.Eventually(t, connected, 10*time.Second, 10*time.Millisecond)
	for name, test := range map[string]struct {
		held  string
		works func(ctx context.Context) error
		says  []string
	}{
		"an open transaction": {"BEGIN; INSERT INTO t VALUES (7, 'SECRET')", func(ctx context.Context) error {
			_, err := r.CreateSlot(ctx)
			return err
		}, []string{"idle in transaction", "last statement BEGIN", "since 2"}},
		"a lock": {"BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE", func(ctx context.Context) error {
			return r.EnsurePublication(ctx, []*cdc.Table{r.table})
		}, []string{"idle in transaction"}},
	} {
		holder := embeddedtest.Connect(t, r.url)
		embeddedtest.ExecOn(t, holder, test.held)
		worked := make(chan error, 1)
		go func() { worked <- test.works(t.Context()) }()
		require.Eventually(t, func() bool {
			p, err := Waits(t.Context(), r.conn)
			require.NoError(t, err)
			return p != nil
		}, 10*time.Second, 50*time.Millisecond, name)
		p := <-told
		require.NotNil(t, p, name)
		pid := holder.PgConn().PID()
		for _, says := range append(test.says, fmt.Sprintf("process %d of role ", pid)) {
			require.Contains(t, p.What, says, name)
		}
		require.NotContains(t, p.Error(), "SECRET")
		require.Equal(t, cdc.Remedy{By: "a superuser", Command: fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(%d)", pid)}, p.Try[1])
		r.exec(t, p.Try[1].Command)
		require.NoError(t, <-worked, "it goes on by itself: %s", name)
		require.Nil(t, <-told, name)
	}
	done()
	require.Eventually(t, func() bool { return !connected() }, 10*time.Second, 10*time.Millisecond)
}

// waitsForPreparedOne: of several prepared transactions the one is told that keeps capture, without the name that it
// has, and what is printed ends it, either way.
func waitsForPreparedOne(t *testing.T, r *rig) {
	r.exec(t, "CREATE TABLE other (id int PRIMARY KEY)")
	for name, sql := range map[string]string{"SECRET's older": "INSERT INTO other VALUES (1)", "SECRET's lock": "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"} {
		r.exec(t, "BEGIN; "+sql+"; PREPARE TRANSACTION "+literal(name))
	}
	for _, test := range []struct {
		keeps, end string
		works      func() error
	}{
		{"SECRET's lock", "ROLLBACK", func() error { return r.EnsurePublication(t.Context(), []*cdc.Table{r.table}) }},
		{"SECRET's older", "COMMIT", func() error {
			_, err := r.CreateSlot(t.Context())
			return err
		}},
	} {
		worked := make(chan error, 1)
		go func() { worked <- test.works() }()
		var p *cdc.Problem
		require.Eventually(t, func() (found bool) {
			var err error
			p, err = Waits(t.Context(), r.conn)
			require.NoError(t, err)
			return p != nil
		}, 10*time.Second, 50*time.Millisecond)
		require.NotContains(t, p.Error(), "SECRET")
		require.Contains(t, p.What, "since 2")
		at := slices.IndexFunc(p.Try, func(way cdc.Remedy) bool { return strings.Contains(way.Command, test.end) })
		require.Contains(t, p.Try[at].By, "on database "+r.conn.Config().Database)
		var end string
		require.NoError(t, r.conn.QueryRow(t.Context(), strings.TrimSuffix(p.Try[at].Command, ` \gexec`)).Scan(&end))
		require.Equal(t, test.end+" PREPARED "+literal(test.keeps), end)
		r.exec(t, end)
		require.NoError(t, <-worked, "it goes on by itself")
	}
	var rows int
	require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT count(*) FROM other").Scan(&rows))
	require.Equal(t, 1, rows)
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
