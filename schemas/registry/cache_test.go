package registry

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCacheIsBounded: however many schemas are asked for, what is remembered of them is not; the newest is.
func TestCacheIsBounded(t *testing.T) {
	const size = 3 << 20
	var asked atomic.Int32
	s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = fmt.Fprintf(w, `{"id":%d,"schema":"\"%s\""}`, asked.Load(), strings.Repeat("x", size))
	}))
	c := newClient(t, short, s.URL)
	const many = 2 * mostCached / size
	for id := range many {
		for range 2 {
			_, err := c.Schema(t.Context(), id+1)
			require.NoError(t, err)
		}
		require.EqualValues(t, id+1, asked.Load(), "the newest is remembered")
		require.LessOrEqual(t, c.texts.bytes, mostCached)
	}
	for id := range many {
		_, err := c.Register(t.Context(), subject, fmt.Sprint(id)+strings.Repeat("x", size))
		require.NoError(t, err)
		require.LessOrEqual(t, c.ids.bytes+c.texts.bytes, 2*mostCached)
	}
	require.LessOrEqual(t, len(c.ids.known), mostCached/size)
}
