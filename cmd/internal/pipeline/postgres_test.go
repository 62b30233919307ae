package pipeline

import (
	"context"
	"testing"
	"time"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// postgresAlone starts Postgres for one test; run runs statements as its owner.
func postgresAlone(t *testing.T) (ctx context.Context, stack *embedded.Stack, run func(statements ...string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	stack = embeddedtest.Start(t, embedded.Options{Parts: embedded.Parts{Postgres: true}})
	conn := embeddedtest.Connect(t, stack.Postgres.URL())
	return ctx, stack, func(statements ...string) {
		t.Helper()
		embeddedtest.ExecOn(t, conn, statements...)
	}
}
