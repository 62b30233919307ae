package pipeline

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"dirtbike/docker/embedded"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// postgresAlone starts Postgres for one test; run runs statements as its owner.
func postgresAlone(t *testing.T) (ctx context.Context, stack *embedded.Stack, run func(statements ...string)) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
			t.Fatal("npm is missing. Try: apt-get install npm")
		}
		t.Skip("npm is missing. Try: apt-get install npm")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	stack, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir(), Parts: embedded.Parts{Postgres: true}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Stop(context.Background())) })
	conn, err := pgx.Connect(ctx, stack.Postgres.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(ctx) }) // nothing is open on it
	return ctx, stack, func(statements ...string) {
		t.Helper()
		for _, sql := range statements {
			_, err := conn.Exec(ctx, sql)
			require.NoError(t, err, sql)
		}
	}
}
