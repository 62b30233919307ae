package pipeline

import (
	"context"
	"testing"

	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/embedded/secure"
)

// testPassword must be in no error and no log.
const testPassword = "hunter2secret"

// stack is the tests' secured stack, started by the first test that needs it.
var stack = embeddedtest.Share(true, func(ctx context.Context, dir string) (*secure.Stack, error) {
	return secure.Start(ctx, dir, testPassword)
})

func TestMain(m *testing.M) { embeddedtest.Main(m, stack) }
