package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

const (
	subject = "clinic.public.t-value"
	schema  = `{"type":"record","name":"clinic.public.t.Key","fields":[{"name":"id","type":"int"}]}`
)

// short options give up soon.
var short = Options{Patience: 300 * time.Millisecond, Timeout: 5 * time.Second}

func newFake(t *testing.T, opts ...srfake.Option) (*srfake.Registry, *atomic.Int32) {
	t.Helper()
	fake := srfake.New(append(opts, srfake.WithGlobalCompat(sr.CompatBackward))...)
	t.Cleanup(fake.Close)
	requests := new(atomic.Int32)
	fake.Intercept(func(http.ResponseWriter, *http.Request) bool { requests.Add(1); return false })
	return fake, requests
}

func newClient(t *testing.T, o Options, urls ...string) *Client {
	t.Helper()
	c, err := New(urls, o)
	require.NoError(t, err)
	return c
}

func TestRegisterAndRead(t *testing.T) {
	ctx := context.Background()
	fake, requests := newFake(t)
	c := newClient(t, short, fake.URL())
	id, err := c.Register(ctx, subject, schema)
	require.NoError(t, err)
	again, err := c.Register(ctx, subject, schema)
	require.NoError(t, err)
	require.Equal(t, id, again)
	text, err := c.Schema(ctx, id)
	require.NoError(t, err)
	require.Equal(t, schema, text)
	require.EqualValues(t, 1, requests.Load(), "everything else is cached")

	other := newClient(t, short, fake.URL())
	for range 2 {
		text, err = other.Schema(ctx, id)
		require.NoError(t, err)
		require.JSONEq(t, schema, text)
	}
	require.EqualValues(t, 2, requests.Load())
	found, err := other.Register(ctx, subject, schema)
	require.NoError(t, err)
	require.Equal(t, id, found, "the registry knows it")
	require.True(t, fake.SubjectExists(subject))
}

func TestConcurrentUse(t *testing.T) {
	fake, _ := newFake(t)
	c := newClient(t, short, fake.URL())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			id, err := c.Register(context.Background(), subject, schema)
			if err == nil {
				_, err = c.Schema(context.Background(), id)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestTriedAgain: the registry's own failures pass.
func TestTriedAgain(t *testing.T) {
	fake, requests := newFake(t)
	var failed atomic.Int32
	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		codes := []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusInternalServerError}
		n := int(failed.Add(1)) - 1
		if n >= len(codes) {
			return false
		}
		http.Error(w, "<html>busy</html>", codes[n])
		return true
	})
	_, err := newClient(t, Options{Patience: time.Minute}, fake.URL()).Register(context.Background(), subject, schema)
	require.NoError(t, err)
	require.EqualValues(t, 4, failed.Load())
	require.NotZero(t, requests.Load())
}

func TestSecondURL(t *testing.T) {
	fake, _ := newFake(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := newClient(t, short, gone.URL, fake.URL()).Register(context.Background(), subject, schema)
	require.NoError(t, err)
}

// requireTry requires a way out that contains the text.
func requireTry(t *testing.T, err error, text string) {
	t.Helper()
	require.Error(t, err)
	remedies := cdc.Explain(err).Try
	require.True(t, slices.ContainsFunc(remedies, func(r cdc.Remedy) bool { return strings.Contains(r.Command, text) }), "%q: %v", text, remedies)
}

func TestRefused(t *testing.T) {
	ctx := context.Background()
	answer := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		try    string
		once   bool
		is     error // nil: it is tried again for ever
	}{
		"incompatible": {answer(409, `{"error_code":409,"message":"reader type INT\nnot compatible"}`), "compatibility of subject " + subject + " to NONE", true, cdc.ErrSchema},
		"unauthorized": {answer(401, "who are you"), "registry.user", true, cdc.ErrRefused},
		"forbidden":    {answer(403, "not you"), "registry.user", true, cdc.ErrRefused},
		"invalid":      {answer(422, `{"error_code":42201,"message":"bad"}`), "rules for subject " + subject, true, cdc.ErrSchema},
		"read-only":    {answer(422, `{"error_code":42205,"message":"Subject t is in read-only mode"}`), "READWRITE", true, nil},
		"missing":      {answer(404, `{"error_code":40403,"message":"Schema not found"}`), sameRegistry, true, nil},
		"no registry":  {answer(404, "<html>nothing here</html>"), sameRegistry, true, nil},
		"broken":       {answer(500, "<html>\n<body>oops</body>"), "registry's log", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			fake, _ := newFake(t)
			var asked atomic.Int32
			fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool { asked.Add(1); return c.answer(w, r) })
			client := newClient(t, short, fake.URL())
			_, err := client.Register(ctx, subject, schema)
			requireTry(t, err, c.try)
			require.NotContains(t, err.Error(), "\n")
			for _, sort := range []error{cdc.ErrSchema, cdc.ErrRefused} {
				require.Equal(t, errors.Is(c.is, sort), errors.Is(err, sort))
			}
			if c.once {
				require.EqualValues(t, 1, asked.Load(), "trying again cannot help")
			}
			_, err = client.Schema(ctx, 17)
			requireTry(t, err, "")
			require.Equal(t, name == "missing", errors.Is(err, schemas.ErrNoSchema))
		})
	}
}

func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c := newClient(t, short, "http://somebody:s3cret@"+gone.Listener.Addr().String())
	_, err := c.Register(context.Background(), subject, schema)
	requireTry(t, err, "registry.url")
	require.NotContains(t, err.Error(), "s3cret")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = c.Schema(ctx, 1)
	require.True(t, errors.Is(err, context.Canceled), err)
}

// TestTheFirstErrorComesSoon: a registry that does not answer is not reported before the request is given up.
// TestNoErrorShowsAToken: what follows a question mark in registry.url is sent, and in no error.
func TestNoErrorShowsAToken(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		_, _ = w.Write([]byte("<html>")) // the client's own error is what is tested
	}))
	t.Cleanup(server.Close)
	for _, at := range []string{server.URL, "http://127.0.0.1:1", "http://no.invalid", "https" + strings.TrimPrefix(server.URL, "http")} {
		c, err := New([]string{at + "?token=canary#canary"}, Options{Patience: time.Millisecond})
		require.NoError(t, err)
		_, err = c.Register(t.Context(), "s", `"int"`)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary", at)
	}
	require.Contains(t, asked, "token=canary")
}

func TestTheFirstErrorComesSoon(t *testing.T) {
	began := time.Now()
	_, err := newClient(t, Options{}, "http://somebody:s3cret@127.0.0.1:1").Register(context.Background(), subject, schema)
	requireTry(t, err, "registry.url")
	require.NotContains(t, err.Error(), "s3cret")
	require.Less(t, time.Since(began), 4*time.Second)
}

func TestCredentials(t *testing.T) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("loader:s3cret"))
	fake, _ := newFake(t, srfake.WithAuth(want))
	address := fake.URL()[len("http://"):]
	for name, c := range map[string]*Client{
		"options": newClient(t, Options{User: "loader", Password: "s3cret", Patience: time.Second}, fake.URL()),
		"url":     newClient(t, short, "http://loader:s3cret@"+address),
	} {
		_, err := c.Register(context.Background(), subject, schema)
		require.NoError(t, err, name)
	}
	_, err := newClient(t, short, fake.URL()).Register(context.Background(), subject, schema)
	require.ErrorIs(t, err, cdc.ErrRefused)
}

func TestTLS(t *testing.T) {
	fake, _ := newFake(t)
	secure := httptest.NewTLSServer(fake.Handler())
	defer secure.Close()
	trusted := short
	trusted.TLS = secure.Client().Transport.(*http.Transport).TLSClientConfig
	_, err := newClient(t, trusted, secure.URL).Register(context.Background(), subject, schema)
	require.NoError(t, err)
	_, err = newClient(t, Options{Patience: time.Hour}, secure.URL).Register(context.Background(), subject, schema)
	requireTry(t, err, "registry.tls.ca")
}

func TestForeignSchemas(t *testing.T) {
	fake, _ := newFake(t)
	fake.SeedSchema("other", 1, 9, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
	_, err := newClient(t, short, fake.URL()).Schema(context.Background(), 9)
	require.ErrorIs(t, err, schemas.ErrNoSchema)
}

func TestBadURLs(t *testing.T) {
	for _, urls := range [][]string{nil, {"registry:8081"}, {"http://"}, {"http://u:s3cret@:%"}} {
		_, err := New(urls, Options{})
		requireTry(t, err, "http://registry:8081")
		require.NotContains(t, err.Error(), "s3cret")
	}
}

// TestLongAnswers: a page of HTML becomes one short line.
func TestLongAnswers(t *testing.T) {
	fake, _ := newFake(t)
	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, strings.Repeat("größe \n", 10_000), http.StatusBadRequest)
		return true
	})
	_, err := newClient(t, short, fake.URL()).Register(context.Background(), subject, schema)
	require.Contains(t, cdc.Explain(err).What, "answers 400: größe größe")
	require.Less(t, len(err.Error()), 500)
	require.True(t, utf8.ValidString(cdc.Explain(err).What))
}

// TestUnusableAnswers: what an answer of 200 lacks is no id, and is not kept.
func TestUnusableAnswers(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"id":0}`, `{"id":-1}`, `{"id":2147483648}`, `{"id":null}`, `{"version":1}`, `[]`, `{"id":"7"}`, `<html>welcome</html>`, ``,
	} {
		t.Run(body, func(t *testing.T) {
			fake, _ := newFake(t)
			fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(body)); return true })
			c := newClient(t, short, fake.URL())
			for range 2 {
				_, err := c.Register(context.Background(), subject, schema)
				requireTry(t, err, "check that registry.url is that of a schema registry")
			}
			_, err := c.Schema(context.Background(), 7)
			require.Error(t, err)
			require.NotErrorIs(t, err, schemas.ErrNoSchema)
		})
	}
}

func TestGreatestID(t *testing.T) {
	fake, _ := newFake(t)
	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"id":2147483647}`))
		return true
	})
	id, err := newClient(t, short, fake.URL()).Register(context.Background(), subject, schema)
	require.NoError(t, err)
	require.Equal(t, 2147483647, id)
}

// TestImpossibleIDs come from records of others; the registry is not asked.
func TestImpossibleIDs(t *testing.T) {
	fake, requests := newFake(t)
	c := newClient(t, short, fake.URL())
	for _, id := range []int{0, -1, 1 << 31, 1<<32 - 1} {
		_, err := c.Schema(context.Background(), id)
		require.ErrorIs(t, err, schemas.ErrNoSchema)
		requireTry(t, err, otherWriter)
	}
	require.Zero(t, requests.Load())
}
