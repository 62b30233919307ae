package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// asked gives when each of n questions began, if each takes that long.
func asked(t *testing.T, n int, takes time.Duration) (began []time.Duration) {
	t.Helper()
	start := time.Now()
	require.NoError(t, sparingly(t.Context(), func() (bool, error) {
		began = append(began, time.Since(start))
		<-time.After(takes)
		return len(began) == n, nil
	}))
	return began
}

// TestSlowServerIsAskedSparingly: questions take a quarter of a slow server's time at most, and a fast one is asked at
// a steady pace.
func TestSlowServerIsAskedSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, []time.Duration{0, 55 * time.Millisecond, 110 * time.Millisecond}, asked(t, 3, 5*time.Millisecond))
		require.Equal(t, []time.Duration{0, 400 * time.Millisecond, 800 * time.Millisecond}, asked(t, 3, 100*time.Millisecond))
		require.Equal(t, []time.Duration{0, 6 * time.Second, 12 * time.Second}, asked(t, 3, 5*time.Second))
	})
}

func TestSparinglyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		require.ErrorIs(t, sparingly(t.Context(), func() (bool, error) { return false, broken }), broken)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, sparingly(ctx, func() (bool, error) { return false, nil }), context.DeadlineExceeded)
		done, err := Poll(t.Context(), time.Second, func() (bool, error) { return false, nil })
		require.NoError(t, err)
		require.False(t, done)
	})
}
