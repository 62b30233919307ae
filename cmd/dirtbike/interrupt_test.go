package main

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// TestInterruptedQuestionsEnd: Ctrl-C ends a question also while it waits for a server that hangs. A verb that changes
// something ends by itself.
func TestInterruptedQuestionsEnd(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	root := &cobra.Command{Use: "dirtbike", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(
		&cobra.Command{Use: "status", RunE: func(*cobra.Command, []string) error { <-hang; return nil }},
		&cobra.Command{Use: "purge", RunE: func(c *cobra.Command, _ []string) error { return c.Context().Err() }},
	)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	for name, want := range map[string]error{"status": errInterrupted, "purge": context.Canceled} {
		root.SetArgs([]string{name})
		verb, err := untilInterrupted(ctx, nil, root, []string{name})
		require.ErrorIs(t, err, want)
		require.Equal(t, name, verb.Name())
	}
}

// TestASecondSignalEnds: what hangs while it ends is left alone at the next signal, and only then.
func TestASecondSignalEnds(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for _, name := range impatient {
		waits := make(chan struct{})
		root := &cobra.Command{Use: "dirtbike", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(&cobra.Command{Use: name, RunE: func(c *cobra.Command, _ []string) error {
			<-c.Context().Done()
			close(waits)
			<-hang
			return nil
		}})
		root.SetArgs([]string{name})
		ctx, again, stop := signalled(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := untilInterrupted(ctx, again, root, []string{name})
			ended <- err
		}()
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
		<-waits
		require.Empty(t, ended, name)
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
		require.ErrorIs(t, <-ended, errCutOff, name)
		stop()
	}
}
