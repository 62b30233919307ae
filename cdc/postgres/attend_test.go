package postgres

import (
	"context"
	"fmt"
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
		err := r.conn.QueryRow(t.Context(), "SELECT "+ConnectedSQL+" AND $1 <> ''", r.options.Slot, AttendName(r.options.Slot), CopyName(r.options.Slot)).Scan(&running)
		return err == nil && running
	}
	require.Eventually(t, connected, 10*time.Second, 10*time.Millisecond)
	for name, test := range map[string]struct {
		held  string
		works func(ctx context.Context) error
		says  []string
	}{
		"an open transaction": {"BEGIN; INSERT INTO t VALUES (7, 'SECRET')", func(ctx context.Context) error {
			s, err := r.TemporarySnapshot(ctx)
			if err == nil {
				err = s.Close(ctx)
			}
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
			p, err := Waits(t.Context(), r.conn, r.options.Slot)
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
