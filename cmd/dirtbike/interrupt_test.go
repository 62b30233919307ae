package main

import (
	"context"
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
		verb, err := untilInterrupted(ctx, root, []string{name})
		require.ErrorIs(t, err, want)
		require.Equal(t, name, verb.Name())
	}
}
