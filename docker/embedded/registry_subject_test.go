package embedded

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// TestSchemaByIDUnderAnySubject: an id is answered with any subject that the client guesses, as by Confluent's
// registry; what else the subject restricts stays as it is.
func TestSchemaByIDUnderAnySubject(t *testing.T) {
	fake := srfake.NewRegistry()
	fake.SeedSchema("t-control", 1, 7, schemaOf("control"))
	s := httptest.NewServer(anySubject(fake.Handler()))
	defer s.Close()
	ask := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, s.URL+path, nil)
		require.NoError(t, err)
		resp, err := s.Client().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	_, want := ask("/schemas/ids/7")
	for _, path := range []string{"/schemas/ids/7?subject=t-key", "/schemas/ids/7?subject=t-key&fetchMaxId=false", "/schemas/ids/7?subject=t-control"} {
		status, got := ask(path)
		require.Equal(t, http.StatusOK, status, path)
		require.JSONEq(t, want, got, path)
	}
	for path, status := range map[string]int{
		"/schemas/ids/7/schema?subject=t-key": http.StatusOK,
		"/schemas/ids/8?subject=t-key":        http.StatusNotFound,
		"/subjects/t-key/versions/1":          http.StatusNotFound,
	} {
		got, _ := ask(path)
		require.Equal(t, status, got, path)
	}
	_, all := ask("/schemas/ids/7/versions?subject=t-key")
	require.NotContains(t, all, fmt.Sprintf("%q", "t-control"), "only a question for the schema itself")
}
