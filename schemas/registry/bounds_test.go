package registry

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// endless answers with blanks until the client has had enough.
func endless(announced int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if announced > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(announced))
		}
		blanks := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
	}
}

// served is a server that ends with the test.
func served(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// TestAnswersAreBounded: whatever is asked, an answer that does not end takes no more memory than the bound, is asked
// for once, and names the way out.
func TestAnswersAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	_, err := packer.Write(make([]byte, 30*maxAnswer))
	require.NoError(t, errors.Join(err, packer.Close()))
	for name, handler := range map[string]http.Handler{
		"endless":        endless(0),
		"announced":      endless(3 << 30),
		"error, endless": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless(0)(w, r) }),
		"no JSON, packed": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}),
		"no answer": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			for err == nil {
				_, err = conn.Write([]byte("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
			}
			_ = conn.Close()
		}),
		"no answer, its header": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); handler.ServeHTTP(w, r) }))
			c := newClient(t, short, s.URL)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Schema(t.Context(), 1)
			require.Error(t, err)
			_, err = c.Register(t.Context(), subject, schema)
			require.Error(t, err)
			runtime.ReadMemStats(&after)
			require.NotEmpty(t, cdc.Explain(err).Remedies())
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20*maxAnswer), "all that was ever allocated, also by the server")
			if strings.HasPrefix(name, "no JSON") || strings.HasPrefix(name, "no answer") {
				require.NotErrorIs(t, err, errAnswer)
			} else {
				require.ErrorIs(t, err, errAnswer)
				require.EqualValues(t, 2, asked.Load())
			}
		})
	}
}

// TestBoundedBody: a body of the bound is whole, one byte more is an error, however it is read.
func TestBoundedBody(t *testing.T) {
	request := httptest.NewRequest(http.MethodGet, "http://registry", nil)
	for size, fits := range map[int]bool{9: true, 10: true, 11: false, 100: false} {
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			body := &boundedBody{ReadCloser: io.NopCloser(wrap(strings.NewReader(strings.Repeat("x", size)))), left: 10, request: request}
			got, err := io.ReadAll(body)
			require.Len(t, got, min(size, 10))
			if fits {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errAnswer)
			}
		}
	}
}

// TestRedirectsStayAtTheirOrigin: no other port, host or scheme gets a request, let alone the login; a redirect to the
// same server is followed.
func TestRedirectsStayAtTheirOrigin(t *testing.T) {
	var stolen atomic.Int32
	thief := served(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	o := short
	o.User, o.Password = "user", "secret"
	for name, to := range map[string]string{
		"another port":   thief.URL,
		"another host":   strings.Replace(thief.URL, "127.0.0.1", "localhost", 1),
		"another scheme": strings.Replace(thief.URL, "http://", "https://", 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
			}))
			c := newClient(t, o, s.URL)
			_, err := c.Schema(t.Context(), 1)
			require.ErrorIs(t, err, errAnswer)
			_, err = c.Register(t.Context(), subject, schema)
			require.ErrorIs(t, err, errAnswer)
			require.NotContains(t, err.Error(), "secret")
			require.Zero(t, stolen.Load())
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/schemas/ids/1", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"schema":"\"int\""}`)) })
	mux.HandleFunc("/schemas/ids/2", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	})
	c := newClient(t, o, served(t, mux).URL)
	text, err := c.Schema(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, `"int"`, text)
	_, err = c.Schema(t.Context(), 2)
	require.ErrorIs(t, err, errAnswer, "it goes round in a circle")
}
