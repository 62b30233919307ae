package registry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"

	"dirtbike/cdc"
)

// TestFitsRegistersNothing, with any answer.
func TestFitsRegistersNothing(t *testing.T) {
	ctx := context.Background()
	fake, _ := newFake(t)
	c := newClient(t, short, fake.URL())
	require.NoError(t, c.Fits(ctx, subject, schema), "there is no such subject")
	count, err := c.Ping(ctx)
	require.NoError(t, err)
	require.Zero(t, count)
	require.NoError(t, c.Writable(ctx))
	_, err = c.Register(ctx, subject, schema)
	require.NoError(t, err)

	var asked atomic.Int32
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/compatibility/subjects/"+subject+"/versions/latest" {
			return false
		}
		asked.Add(1)
		_, _ = w.Write([]byte(`{"is_compatible": false, "messages": ["a field is gone"]}`))
		return true
	})
	require.NoError(t, c.Fits(ctx, subject, schema), "it is there already")
	require.Zero(t, asked.Load())
	err = c.Fits(ctx, subject, `{"type":"record","name":"clinic.public.t.Key","fields":[]}`)
	require.ErrorIs(t, err, cdc.ErrSchema)
	require.Contains(t, cdc.Explain(err).What, "a field is gone", "the registry's own words")
	requireTry(t, err, "compatibility of subject")
	require.EqualValues(t, 1, asked.Load())
	count, err = c.Ping(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, count)

	client, err := sr.NewClient(sr.URLs(fake.URL()))
	require.NoError(t, err)
	require.NoError(t, client.SetMode(ctx, sr.ModeReadOnly)[0].Err)
	err = c.Writable(ctx)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Contains(t, cdc.Explain(err).What, "READONLY")
}

// TestPingDistinguishesAnAnswerFromSilence.
func TestPingDistinguishesAnAnswerFromSilence(t *testing.T) {
	ctx := context.Background()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(locked.Close)
	_, err := newClient(t, short, locked.URL).Ping(ctx)
	require.ErrorIs(t, err, cdc.ErrRefused)
	_, err = newClient(t, short, "http://127.0.0.1:1").Ping(ctx)
	require.Error(t, err)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	requireTry(t, err, "registry.url")
	require.Error(t, newClient(t, short, locked.URL).Fits(ctx, subject, schema))
}
