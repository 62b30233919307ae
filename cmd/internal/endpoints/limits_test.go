package endpoints

import (
	"context"
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

// TestConnectionsAreCapped: whoever holds connections, silent or idle after a request, keeps nobody out and takes no
// more than the cap.
func TestConnectionsAreCapped(t *testing.T) {
	for name, first := range map[string]string{"silent": "", "half a header": "GET /livez HT", "idle after a request": "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, Guard{})
			var held []net.Conn
			for range 3 * maxConnections {
				conn := dial(t, s)
				_, err := io.WriteString(conn, first)
				require.NoError(t, err)
				held = append(held, conn)
			}
			ended(t, held[0]) // the oldest one had to go
			code, body, _, err := ask(t, "http://"+s.Addr()+"/livez", "", nil)
			require.NoError(t, err)
			require.Equal(t, 200, code)
			require.Equal(t, "ok\n", body)
		})
	}
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
