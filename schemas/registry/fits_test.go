package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
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
	count, err := c.Ping(ctx, "")
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
	count, err = c.Ping(ctx, "")
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
	_, err := newClient(t, short, locked.URL).Ping(ctx, "")
	require.ErrorIs(t, err, cdc.ErrRefused)
	_, err = newClient(t, short, "http://127.0.0.1:1").Ping(ctx, "")
	require.Error(t, err)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	requireTry(t, err, "registry.url")
	require.Error(t, newClient(t, short, locked.URL).Fits(ctx, subject, schema))
}

// TestPingOfALargeRegistry: it asks for the pipeline's own subjects, so that what others have does not matter; a
// registry that does not know that question may have more than an answer holds, and what is no registry is refused.
func TestPingOfALargeRegistry(t *testing.T) {
	var all []string
	for i := range 150_000 {
		all = append(all, fmt.Sprintf("somebody-elses-rather-long-subject-%06d-value", i))
	}
	all = append(all, "clinic.public.t-key", "clinic.public.t-value")
	answer := func(w http.ResponseWriter, what any) { _ = json.NewEncoder(w).Encode(what) }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		count   int
		refused bool
	}{
		"it knows prefixes": {count: 2, handler: func(w http.ResponseWriter, r *http.Request) {
			answer(w, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, r.URL.Query().Get("subjectPrefix")) }))
		}},
		"it knows none, and is small": {count: 2, handler: func(w http.ResponseWriter, _ *http.Request) { answer(w, all[149_000:]) }},
		"it knows none": {count: -1, handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/subjects" {
				answer(w, all)
				return
			}
			w.WriteHeader(http.StatusNotFound)
			answer(w, map[string]any{"error_code": 40401, "message": "Subject not found"})
		}},
		"it is none": {refused: true, handler: func(w http.ResponseWriter, _ *http.Request) { answer(w, all) }},
	} {
		t.Run(name, func(t *testing.T) {
			count, err := newClient(t, short, served(t, c.handler).URL).Ping(t.Context(), "clinic.")
			require.Equal(t, c.refused, errors.Is(err, errAnswer), "%v", err)
			require.Equal(t, c.count, count)
		})
	}
}
