package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStalledDownloadBeginsAgain(t *testing.T) {
	const patience = 200 * time.Millisecond
	tries := 0
	hang := func(ctx context.Context) error { tries++; <-ctx.Done(); return ctx.Err() }
	require.ErrorIs(t, retryStalled(testContext(t), t.TempDir(), patience, hang), errStalled)
	require.Equal(t, downloadTries, tries)

	tries = 0
	require.NoError(t, retryStalled(testContext(t), t.TempDir(), patience, func(ctx context.Context) error {
		if tries == 0 {
			return hang(ctx)
		}
		return nil
	}))
	require.Equal(t, 1, tries)
}

// TestSlowDownloadGoesOn: one that brings a little now and then is not ended, and its own error is reported.
func TestSlowDownloadGoesOn(t *testing.T) {
	const patience = 400 * time.Millisecond
	dir, broken := t.TempDir(), errors.New("checksum differs")
	require.ErrorIs(t, retryStalled(testContext(t), dir, patience, func(ctx context.Context) error {
		tick := time.NewTicker(patience / 4)
		defer tick.Stop()
		for i := range 10 {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte("x"), 0o600); err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return broken
	}), broken)

	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	require.ErrorIs(t, retryStalled(ctx, dir, patience, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), context.Canceled)
}
