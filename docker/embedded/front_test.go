package embedded

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"
)

// requireClientsMayVanish ends connections in every way that a client has, at every moment of a session: the server
// goes on, and what it refuses is answered.
func requireClientsMayVanish(t *testing.T, c *ClickHouse) {
	t.Helper()
	server := c.child
	var hello proto.Buffer
	proto.ClientHello{Name: "test", ProtocolVersion: proto.Version, User: clickHouseUser, Password: c.password}.Encode(&hello)
	for _, port := range []int{c.tcp, c.http} {
		for _, sent := range [][]byte{nil, {0, 5, 'a'}, []byte("GET / HT"), hello.Buf} {
			for range 10 {
				for _, reset := range []bool{false, true} {
					conn, err := net.Dial("tcp", loopback(port))
					require.NoError(t, err)
					_, err = conn.Write(sent)
					require.NoError(t, err)
					if reset {
						require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
					}
					require.NoError(t, conn.Close())
				}
			}
		}
	}
	for _, query := range []string{"SELECT number FROM numbers(100000000)", "SELECT sleepEachRow(0.1) AS number FROM numbers(3)"} {
		for range 5 {
			vanish(t, c, query)
		}
	}
	for code, o := range map[proto.Error]ch.Options{
		proto.ErrAuthenticationFailed: {User: clickHouseUser, Password: "wrong"},
		proto.ErrUnknownDatabase:      {User: clickHouseUser, Password: c.password, Database: "nope"},
	} {
		for range 3 {
			o.Address = loopback(c.tcp)
			_, err := ch.Dial(t.Context(), o)
			require.True(t, ch.IsErr(err, code), "%v", err)
		}
	}
	require.NoError(t, c.query(t.Context(), "SELECT 1"))
	require.Same(t, server, c.child)
	require.True(t, server.running())
}

// vanish resets a connection while its query is answered.
func vanish(t *testing.T, c *ClickHouse, query string) {
	t.Helper()
	var raw net.Conn
	client, err := ch.Dial(t.Context(), ch.Options{Address: loopback(c.tcp), User: clickHouseUser, Password: c.password, Dialer: dialer(func(conn net.Conn) { raw = conn })})
	require.NoError(t, err)
	time.AfterFunc(20*time.Millisecond, func() {
		_ = raw.(*net.TCPConn).SetLinger(0)
		_ = raw.Close()
	})
	var numbers proto.Results
	require.Error(t, client.Do(t.Context(), ch.Query{Body: query, Result: numbers.Auto(), OnResult: func(context.Context, proto.Block) error { return nil }}))
	_ = client.Close() // it is closed already
}

// dialer passes on the connection that it makes.
type dialer func(net.Conn)

func (d dialer) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	d(conn)
	return conn, err
}
