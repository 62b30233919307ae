package registry

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCloseLetsConnectionsGo: each login of a process that runs on has a client of its own.
func TestCloseLetsConnectionsGo(t *testing.T) {
	var open atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`["AVRO"]`)) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		case http.StateActive, http.StateIdle, http.StateHijacked:
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	for range 2 { // it stays usable
		c, err := New([]string{server.URL}, short)
		require.NoError(t, err)
		require.NoError(t, c.Login(t.Context()))
		require.EqualValues(t, 1, open.Load())
		c.Close()
		require.Eventually(t, func() bool { return open.Load() == 0 }, 5*time.Second, 5*time.Millisecond)
		require.NoError(t, c.Login(t.Context()))
		c.Close()
		require.Eventually(t, func() bool { return open.Load() == 0 }, 5*time.Second, 5*time.Millisecond)
	}
}
