package endpoints

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/docker/embedded/secure"
)

// guarded runs a server with a guard for the length of the test.
func guarded(t *testing.T, g Guard, change ...func(*http.Server)) *Server {
	t.Helper()
	s, err := New("127.0.0.1:0", []status.Check{{Name: "slot", Func: good}}, func(context.Context) (status.Status, error) { return status.Status{Phase: "streaming"}, nil }, prometheus.NewRegistry())
	require.NoError(t, err)
	require.NoError(t, s.Protect(g))
	for _, c := range change {
		c(s.http)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, s.running.Load, 10*time.Second, time.Millisecond)
	return s
}

// ask asks on a connection of its own, and gives code, answer and challenge.
func ask(t *testing.T, url, authorization string, settings *tls.Config) (code int, body, challenge string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: settings}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	read, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(read), response.Header.Get("WWW-Authenticate"), nil
}

var guardedPaths = []string{"/readyz", "/status", "/metrics"}

func TestToken(t *testing.T) {
	s := guarded(t, Guard{Token: "a-token-of-some-length"})
	at := "http://" + s.Addr()
	for _, path := range guardedPaths {
		for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer a-token-of-some-lengt", "Bearer a-token-of-some-length2", "Basic a-token-of-some-length", "a-token-of-some-length"} {
			code, body, challenge, err := ask(t, at+path, wrong, nil)
			require.NoError(t, err)
			require.Equal(t, 401, code, "%s with %q", path, wrong)
			require.Equal(t, "Bearer", challenge)
			require.Equal(t, "the token of ops.token is needed. Try: curl -H \"Authorization: Bearer $OPS_TOKEN\"; /livez needs none\n", body)
		}
		for _, right := range []string{"Bearer a-token-of-some-length", "bearer a-token-of-some-length"} {
			code, _, _, err := ask(t, at+path, right, nil)
			require.NoError(t, err)
			require.Equal(t, 200, code, path)
		}
	}
	code, _, _, err := ask(t, at+"/livez", "", nil)
	require.NoError(t, err)
	require.Equal(t, 200, code)

	require.NoError(t, s.Protect(Guard{Token: "another-token-it-is"}))
	code, _, _, err = ask(t, at+"/readyz", "Bearer a-token-of-some-length", nil)
	require.NoError(t, err)
	require.Equal(t, 401, code)
	code, _, _, err = ask(t, at+"/readyz", "Bearer another-token-it-is", nil)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	require.Equal(t, []cdc.Remedy{{Command: "restart dirtbike"}}, cdc.Explain(s.Protect(Guard{TLS: &tls.Config{MinVersion: tls.VersionTLS12}})).Try)
	code, _, _, err = ask(t, at+"/readyz", "", nil)
	require.NoError(t, err)
	require.Equal(t, 401, code, "what was refused has changed nothing")
}

// issued makes a server's settings, and a client's that trusts it.
func issued(t *testing.T) (authority *secure.Authority, server, client *tls.Config) {
	t.Helper()
	authority, err := secure.NewAuthority("of the endpoints")
	require.NoError(t, err)
	certificate, err := authority.Issue("127.0.0.1")
	require.NoError(t, err)
	server, err = certificate.Server()
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(authority.PEM))
	return authority, server, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func TestEndpointsOverTLS(t *testing.T) {
	authority, server, client := issued(t)
	s := guarded(t, Guard{TLS: server})
	code, _, _, err := ask(t, "https://"+s.Addr()+"/readyz", "", client)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	code, _, _, err = ask(t, "http://"+s.Addr()+"/readyz", "", nil)
	require.NoError(t, err)
	require.Equal(t, 400, code, "plain HTTP is answered so")
	_, _, _, err = ask(t, "https://"+s.Addr()+"/readyz", "", &tls.Config{MinVersion: tls.VersionTLS12})
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown)

	// A client certificate is asked for from now on, under another certificate of the server's.
	_, other, second := issued(t)
	other.ClientAuth, other.ClientCAs = tls.VerifyClientCertIfGiven, client.RootCAs
	require.NoError(t, s.Protect(Guard{TLS: other, Token: "a-token-of-some-length"}))
	const token = "Bearer a-token-of-some-length"
	for _, path := range guardedPaths {
		code, body, _, err := ask(t, "https://"+s.Addr()+path, token, second)
		require.NoError(t, err)
		require.Equal(t, 401, code)
		require.Equal(t, "a client certificate of ops.tls.ca is needed. Try: curl --cert FILE --key FILE; /livez needs none\n", body)
	}
	code, _, _, err = ask(t, "https://"+s.Addr()+"/livez", "", second)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	shown, err := authority.Issue("scraper")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(shown.Cert, shown.Key)
	require.NoError(t, err)
	second.Certificates = []tls.Certificate{pair}
	code, _, _, err = ask(t, "https://"+s.Addr()+"/metrics", token, second)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	code, _, _, err = ask(t, "https://"+s.Addr()+"/metrics", "", second)
	require.NoError(t, err)
	require.Equal(t, 401, code, "both are needed")
	require.Equal(t, []cdc.Remedy{{Command: "restart dirtbike"}}, cdc.Explain(s.Protect(Guard{})).Try)
}

// TestShow replaces what is shown while the server runs.
func TestShow(t *testing.T) {
	s := guarded(t, Guard{})
	s.Show([]status.Check{{Name: "kafka", Func: bad}}, func(context.Context) (status.Status, error) { return status.Status{}, errors.New("it is away") }, prometheus.NewRegistry())
	_, body, _, err := ask(t, "http://"+s.Addr()+"/readyz", "", nil)
	require.NoError(t, err)
	require.Equal(t, "[-]kafka failed: connection refused. Try: start it (dirtbike explain kafka)\nreadyz check failed\n", body)
	code, body, _, err := ask(t, "http://"+s.Addr()+"/status", "", nil)
	require.NoError(t, err)
	require.Equal(t, 503, code)
	require.Equal(t, "it is away\n", body)
}
