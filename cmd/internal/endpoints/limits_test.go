package endpoints

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dial opens a connection that ends with the test.
func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// ended waits until the server has closed a connection, and gives what it said before.
func ended(t *testing.T, conn net.Conn) string {
	t.Helper()
	said, err := io.ReadAll(conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it is still open")
	return string(said)
}

// TestConnectionsAreCapped: whoever holds connections, silent or idle after a request, before or after a handshake or
// with a body that does not come, keeps nobody out and takes no more than the cap.
func TestConnectionsAreCapped(t *testing.T) {
	const request = "GET /livez HTTP/1.1\r\nHost: x\r\n"
	encrypted, trusting := encryption(t)
	for name, of := range map[string]struct {
		guard Guard
		first string
	}{
		"silent": {}, "half a header": {first: "GET /livez HT"}, "idle after a request": {first: request + "\r\n"},
		"a body that does not come":    {first: request + "Content-Length: 1000\r\n\r\n"},
		"chunks that do not come":      {first: request + "Transfer-Encoding: chunked\r\n\r\n"},
		"silent before a handshake":    {guard: encrypted},
		"the beginning of a handshake": {guard: encrypted, first: "\x16\x03\x01\x02\x00\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, of.guard)
			var held []net.Conn
			for range 3 * maxConnections {
				conn := dial(t, s)
				_, err := io.WriteString(conn, of.first)
				require.NoError(t, err)
				held = append(held, conn)
			}
			url := "http://"
			if of.guard.TLS != nil {
				url = "https://"
			}
			code, body, _, err := ask(t, url+s.Addr()+"/livez", "", trusting)
			require.NoError(t, err)
			require.Equal(t, 200, code)
			require.Equal(t, "ok\n", body)
			ended(t, held[0]) // the oldest one had to go
		})
	}
}

// encryption makes a guard with TLS, and the settings of those who trust it.
func encryption(t *testing.T) (Guard, *tls.Config) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	t.Cleanup(server.Close)
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	return Guard{TLS: &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12}}, &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}
}

// TestHandshakesHaveATime: a handshake that does not go on ends with its connection, and no client gets HTTP/2, whose
// streams no limit here counts.
func TestHandshakesHaveATime(t *testing.T) {
	guard, trusting := encryption(t)
	s := guarded(t, guard, func(s *http.Server) { s.ReadHeaderTimeout = 200 * time.Millisecond })
	conn := dial(t, s)
	_, err := io.WriteString(conn, "\x16\x03\x01\x02\x00\x01")
	require.NoError(t, err)
	ended(t, conn)
	asks := trusting.Clone()
	asks.NextProtos = []string{"h2", "http/1.1"}
	shaken := tls.Client(dial(t, s), asks)
	err = shaken.HandshakeContext(t.Context())
	require.True(t, err != nil || shaken.ConnectionState().NegotiatedProtocol != "h2", "it speaks HTTP/2")
	plain := dial(t, guarded(t, Guard{}))
	_, err = io.WriteString(plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	require.NoError(t, err)
	require.NotContains(t, ended(t, plain), "\x00\x00", "no frames")
}

// TestBusyConnectionsStay: a connection with a request under way is never closed for another; then the new one is.
func TestBusyConnectionsStay(t *testing.T) {
	c := &connections{most: 2, states: map[net.Conn]connection{}}
	var conns, peers []net.Conn
	for range 4 {
		a, b := net.Pipe()
		conns, peers = append(conns, a), append(peers, b)
	}
	closed := func(i int) bool {
		return peers[i].SetReadDeadline(time.Now()) != nil // a pipe's deadline cannot be set once an end is closed
	}
	c.observe(conns[0], http.StateNew)
	c.observe(conns[0], http.StateActive)
	c.observe(conns[1], http.StateNew)
	c.observe(conns[1], http.StateActive)
	c.observe(conns[2], http.StateNew)
	require.Equal(t, []bool{false, false, true}, []bool{closed(0), closed(1), closed(2)})
	c.observe(conns[2], http.StateClosed)
	c.observe(conns[1], http.StateIdle)
	c.observe(conns[3], http.StateNew)
	require.Equal(t, []bool{false, true, false}, []bool{closed(0), closed(1), closed(3)})
	require.Len(t, c.states, 2)
}

// TestSlowReadersKeepNobodyOut: whoever asks and does not read the answer, plainly or over TLS, or asks again and again
// without reading, keeps nobody out, and loses the connection when another one comes.
func TestSlowReadersKeepNobodyOut(t *testing.T) {
	encrypted, trusting := encryption(t)
	const request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, of := range map[string]struct {
		guard    Guard
		requests int
		url      string
	}{
		"one answer": {requests: 1, url: "http://"}, "many answers": {requests: 100, url: "http://"},
		"over TLS": {requests: 1, url: "https://", guard: encrypted},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, of.guard)
			answer := make([]byte, 16<<20) // more than the kernel holds for a connection
			s.views.Load().metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })
			for range maxConnections {
				conn := dial(t, s)
				if of.guard.TLS != nil {
					named := trusting.Clone()
					named.ServerName = "127.0.0.1"
					conn = tls.Client(conn, named)
				}
				_, err := io.WriteString(conn, strings.Repeat(request, of.requests))
				require.NoError(t, err)
			}
			require.Eventually(t, func() bool { // the first answers are being made
				code, _, _, err := ask(t, of.url+s.Addr()+"/readyz", "", trusting)
				return err == nil && code == 200
			}, 20*time.Second, 10*time.Millisecond)
		})
	}
}

// TestMuchIsRefused: a header or a body without end is refused.
func TestMuchIsRefused(t *testing.T) {
	s := guarded(t, Guard{})
	conn := dial(t, s)
	_, err := fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
	require.NoError(t, err)
	require.Contains(t, ended(t, conn), " 431 ")
	conn = dial(t, s)
	_, err = fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", int64(1)<<40)
	require.NoError(t, err)
	go func() { _, _ = io.Copy(conn, zeros{}) }()
	ended(t, conn)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestConnectionsGrowOld: the answer after a connection's lifetime ends it, and every wait has a limit.
func TestConnectionsGrowOld(t *testing.T) {
	handler := aging(http.NotFoundHandler(), time.Minute)
	for age, last := range map[time.Duration]string{time.Second: "", time.Hour: "close"} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request = request.WithContext(context.WithValue(request.Context(), born{}, time.Now().Add(-age)))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		require.Equal(t, last, recorder.Header().Get("Connection"))
	}
	server := limited(handler)
	for _, limit := range []time.Duration{server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout} {
		require.NotZero(t, limit)
	}
}
