package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProgressLinesAreFew: at most one line in ten seconds, for people, and none of a comparison that is over sooner.
func TestProgressLinesAreFew(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	p := &progress{w: &out, now: func() time.Time { return now }, printed: now}
	at := func(seconds float64, table string, rows int64) string {
		out.Reset()
		now = now.Add(time.Duration(seconds * float64(time.Second)))
		p.show(table, rows)
		return out.String()
	}
	require.Empty(t, at(0, "public.a", 20_000))
	require.Empty(t, at(9.9, "public.a", 400_000))
	require.Equal(t, "comparing public.a: 420,000 rows so far\n", at(0.2, "public.a", 420_000))
	require.Empty(t, at(1, "public.a", 1_000_000))
	require.Empty(t, at(1, "public.b", 10))
	require.Equal(t, "comparing public.\\x1b[31m: 5 rows so far, after 2 tables with 1,000,010 rows\n", at(20, "public.\x1b[31m", 5))
	for range 1000 {
		require.Empty(t, at(0.009, "public.c", 1))
	}
}
