package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sleeper is a child that runs until it is killed, with a log of its own.
func sleeper(t *testing.T, name string) *child {
	t.Helper()
	log := filepath.Join(t.TempDir(), name+".log")
	require.NoError(t, os.WriteFile(log, []byte("first line\nlast words of "+name+"\n"), 0o600))
	c, err := spawn(spec{name: name, path: "/bin/sleep", args: []string{"60"}, env: os.Environ(), log: log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.kill() })
	return c
}

// TestWaitSeesTheChildEnd: the wait ends at once and names the part with its log.
func TestWaitSeesTheChildEnd(t *testing.T) {
	c, asked := sleeper(t, "kafka"), 0
	err := waitReady(testContext(t), c, func(context.Context) error {
		if asked++; asked == 2 {
			require.NoError(t, c.kill())
		}
		return errors.New("not yet")
	})
	require.ErrorContains(t, err, "last words of kafka. Try: read "+c.log)
}

func TestWaitEnds(t *testing.T) {
	c, notYet := sleeper(t, "kafka"), errors.New("not yet")
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	err := waitReady(ctx, c, func(context.Context) error { return notYet })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, notYet)
	require.ErrorContains(t, err, c.log)
	require.NoError(t, waitReady(testContext(t), c, func(context.Context) error { return nil }))
}
