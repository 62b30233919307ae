package clickhouse

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

// wordy is a registry whose schemas are long, and none of ours.
type wordy struct {
	schemas.Registry
	size, asked int
}

func (w *wordy) Schema(context.Context, int) (string, error) {
	w.asked++
	return strings.Repeat("{", w.size), nil // refused at once
}

// TestSchemasAreBounded: however many ids records name, and however long their schemas are, what is remembered is not.
func TestSchemasAreBounded(t *testing.T) {
	registry := &wordy{size: 4 << 20}
	at := func(ctx context.Context, _ string, f func(context.Context) error) error { return f(ctx) }
	c := &contracts{registry: registry, once: at, known: map[int]*contract{}, asked: map[int]time.Time{}}
	most := 0
	for id := range 3 * mostSchemaBytes / registry.size {
		for range 2 {
			_, err := c.value(t.Context(), id)
			require.ErrorIs(t, err, errSchema)
		}
		require.Equal(t, id+1, registry.asked, "the newest is remembered")
		require.LessOrEqual(t, c.bytes, mostSchemaBytes)
		most = max(most, len(c.known))
	}
	require.Equal(t, mostSchemaBytes/registry.size, most)

	c = &contracts{known: map[int]*contract{}, asked: map[int]time.Time{}}
	for id := range 2 * mostSchemas {
		c.makeRoom(1)
		c.known[id] = &contract{}
		require.LessOrEqual(t, len(c.known), mostSchemas)
	}
}
