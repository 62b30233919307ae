package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWayOutOfASilentPipeIsTaken: once what writes the pipe does so, the config is read.
func TestWayOutOfASilentPipeIsTaken(t *testing.T) {
	pipes := func() (path string, writer *os.File) {
		path = filepath.Join(t.TempDir(), "pipe") // each its own: what was interrupted goes on reading until it ends
		require.NoError(t, syscall.Mkfifo(path, 0o600))
		writer, err := os.OpenFile(path, os.O_RDWR, 0) // never waits
		require.NoError(t, err)
		t.Cleanup(func() { _ = writer.Close() })
		return path, writer
	}
	pipe, _ := pipes()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, said, way := typed(ended, "run", "--config", pipe)
	require.Equal(t, "see what writes it", way, said)
	pipe, writer := pipes()
	_, err := writer.WriteString("opps: {}\n")
	require.NoError(t, err)
	read := make(chan string)
	go func() {
		_, said, _ := typed(t.Context(), "run", "--config", pipe)
		read <- said
	}()
	require.Eventually(t, func() bool {
		left, err := unix.IoctlGetInt(int(writer.Fd()), unix.TIOCINQ)
		return err == nil && left == 0
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, writer.Close())
	require.Contains(t, <-read, ":1:1: opps: unknown key")
}
