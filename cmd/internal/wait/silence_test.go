package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// said gives when a wait of a minute and a half says something, and the first line, if its parts answer so.
func said(t *testing.T, pings ...func(ctx context.Context, since time.Duration) error) (at []time.Duration, first *cdc.Problem) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var parts []Part
		for _, ping := range pings {
			parts = append(parts, Part{Name: "Kafka", Try: "look at it", Ping: func(ctx context.Context) error { return ping(ctx, time.Since(began)) }})
		}
		done := watchParts(t.Context(), parts, func(line string) {
			at = append(at, time.Since(began))
			if first == nil {
				first = cdc.ParseProblem(line)
			}
		})
		<-time.After(90 * time.Second)
		done()
	})
	return at, first
}

// TestAWaitSaysWhoIsAway: after five seconds or so, then twice a minute, and once that it is back; a short wait and one
// whose parts answer say nothing.
func TestAWaitSaysWhoIsAway(t *testing.T) {
	const s = time.Second
	refuses := func(context.Context, time.Duration) error { return errors.New("connection refused") }
	hangs := func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	answers := func(context.Context, time.Duration) error { return nil }

	at, first := said(t, answers, refuses)
	require.Equal(t, []time.Duration{6 * s, 36 * s, 66 * s}, at)
	require.Equal(t, []cdc.Remedy{{Command: "look at it"}}, first.Try)
	require.Contains(t, first.What, "Kafka has not answered since 2000-01-01T00:00:02Z: connection refused")

	at, first = said(t, hangs)
	require.Equal(t, 5*s, at[0])
	require.Contains(t, first.What, "nothing within 3s")
	require.LessOrEqual(t, len(at), 4)

	at, _ = said(t, func(_ context.Context, since time.Duration) error {
		if since > 20*s && since < 40*s {
			return errors.New("gone")
		}
		return nil
	})
	require.Equal(t, []time.Duration{26 * s, 40 * s}, at)

	at, _ = said(t, func(_ context.Context, since time.Duration) error {
		if since%(6*s) == 0 {
			return errors.New("a moment")
		}
		return nil
	})
	require.Empty(t, at)
	at, _ = said(t, answers)
	require.Empty(t, at)

	refused := cdc.Refused("log in").Fix("another password")
	_, first = said(t, func(context.Context, time.Duration) error { return refused })
	require.Equal(t, refused.Try, first.Try, "its own way out")
	watchParts(t.Context(), []Part{{}}, nil)()
}
