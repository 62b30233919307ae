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

// TestWaitAllSeesEachChild: whichever node dies, the wait ends at once and names it with its log.
func TestWaitAllSeesEachChild(t *testing.T) {
	notYet := errors.New("2 of 3 brokers are up")
	for dying, name := range []string{"kafka-1", "kafka-2", "kafka-3"} {
		children := []*child{sleeper(t, "kafka-1"), sleeper(t, "kafka-2"), sleeper(t, "kafka-3")}
		asked := 0
		err := waitAll(testContext(t), time.Minute, children, func(context.Context) error {
			if asked++; asked == 2 {
				require.NoError(t, children[dying].kill())
			}
			return notYet
		})
		require.ErrorContains(t, err, name+" ended by itself")
		require.ErrorContains(t, err, "last words of "+name)
		require.ErrorContains(t, err, "Try: read "+children[dying].log)
	}
}

func TestWaitAllEnds(t *testing.T) {
	children := []*child{sleeper(t, "kafka-1"), sleeper(t, "kafka-2")}
	notYet := errors.New("1 of 2 brokers are up")
	err := waitAll(testContext(t), 50*time.Millisecond, children, func(context.Context) error { return notYet })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, notYet)
	require.ErrorContains(t, err, "wait for kafka-1, kafka-2: ")
	require.ErrorContains(t, err, children[1].log)
	require.NoError(t, waitAll(testContext(t), time.Minute, children, func(context.Context) error { return nil }))
}
