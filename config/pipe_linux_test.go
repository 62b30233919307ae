package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// TestPipes: a config may come out of a pipe, also as a shell's <(…); one without a writer is refused, and not
// waited for.
func TestPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := config.Load(path)
	require.Contains(t, cdc.Explain(err).What, path)
	requireTry(t, err)

	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, []byte(with("")), 0o600) }()
	require.Eventually(t, func() bool { // there is nothing to read until the writer opens
		_, err = config.Load(path)
		return err == nil
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, <-written)

	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	go func() {
		time.Sleep(100 * time.Millisecond) // it is waited for
		_, err := out.WriteString(with(""))
		written <- err
		_ = out.Close()
	}()
	_, err = config.Load(fmt.Sprintf("/dev/fd/%d", in.Fd()))
	require.NoError(t, err)
	require.NoError(t, <-written)
}
