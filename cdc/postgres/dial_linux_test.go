package postgres

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestDeadPeerIsNoticed: the connection that streams has the kernel watch over the peer's host.
func TestDeadPeerIsNoticed(t *testing.T) {
	r := newRig(t, embeddedtest.Postgres(t, "18", map[string]string{"wal_level": "logical"}))
	require.NoError(t, r.EnsurePublication(t.Context(), []*cdc.Table{r.table}))
	point, err := r.CreateSlot(t.Context())
	require.NoError(t, err)
	st, err := r.Stream(t.Context(), point, false)
	require.NoError(t, err)
	defer st.Close(t.Context()) //nolint:errcheck // the test is over
	option := func(level, name int) (value int) {
		raw, err := st.(*stream).conn.(*net.TCPConn).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) }))
		require.NoError(t, err)
		return value
	}
	require.EqualValues(t, deadPeer.Milliseconds(), option(syscall.IPPROTO_TCP, tcpUserTimeout))
	require.Equal(t, 1, option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE))
	require.EqualValues(t, deadPeer.Seconds()/3, option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE))
	require.EqualValues(t, deadPeer.Seconds()/6, option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL))
}

// TestUnixSocket: there a peer that is gone is seen at once, and the options do not exist.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "d") // t.TempDir may be too long for a socket's name
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // the test is over
	conn, err := dialer(0)(t.Context(), "unix", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
