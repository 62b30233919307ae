package clickhouse

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

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
	c := newContracts(registry, at)
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

	c = newContracts(nil, nil)
	for id := range 2 * mostSchemas {
		c.makeRoom(1)
		c.known[id] = &contract{}
		require.LessOrEqual(t, len(c.known), mostSchemas)
	}
}

// hanging is a registry that answers when it is told to.
type hanging struct {
	schemas.Registry
	answer chan string
	asked  atomic.Int32
}

func (h *hanging) Schema(ctx context.Context, _ int) (string, error) {
	h.asked.Add(1)
	select {
	case text := <-h.answer:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// TestARegistryThatHangs: everybody waits for it briefly, the table that needs the schema until it answers; it is asked
// once, and no more once the loader stops.
func TestARegistryThatHangs(t *testing.T) {
	registry := &hanging{answer: make(chan string)}
	c := newContracts(registry, newOutage(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}), time.Minute, zap.NewNop()).once)
	running, stop := context.WithCancel(t.Context())
	c.running = running
	for range 3 {
		began := time.Now()
		_, err := c.value(t.Context(), 7)
		require.True(t, isUnsettled(err), err)
		require.Less(t, time.Since(began), 4*schemaWait)
	}
	registry.answer <- "no schema"
	require.Eventually(t, func() bool {
		_, err := c.value(t.Context(), 7)
		return errors.Is(err, errSchema)
	}, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 1, registry.asked.Load())
	_, err := c.value(t.Context(), 8)
	require.True(t, isUnsettled(err), err)
	stop()
	<-c.lookups[8].done
}
