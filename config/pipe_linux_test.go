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
	writer, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for a reader
	require.NoError(t, err)
	slowly := func(w *os.File) {
		time.Sleep(100 * time.Millisecond) // it is waited for
		_, err := w.WriteString(with(""))
		written <- err
		_ = w.Close()
	}
	go slowly(writer)
	_, err = config.Load(path)
	require.NoError(t, err)
	require.NoError(t, <-written)

	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	go slowly(out)
	_, err = config.Load(fmt.Sprintf("/dev/fd/%d", in.Fd()))
	require.NoError(t, err)
	require.NoError(t, <-written)
}

// TestSilentPipe: one that stays open and gives nothing, or never ends, is refused after a while.
func TestSilentPipe(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	defer out.Close()
	began := time.Now()
	_, err = config.Load(fmt.Sprintf("/dev/fd/%d", in.Fd()))
	requireTry(t, err)
	require.Less(t, time.Since(began), 15*time.Second)
}
