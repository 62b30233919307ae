package cdc_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/secure"
)

// TestTLSWayOut: whatever fails in a handshake for good has a way out that names the setting; what may pass has none.
func TestTLSWayOut(t *testing.T) {
	authority, err := secure.NewAuthority("ours")
	require.NoError(t, err)
	certificate, err := authority.Issue("127.0.0.1")
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(authority.PEM))
	asking := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool }
	for name, c := range map[string]struct {
		server func(*tls.Config)
		client *tls.Config
		want   string
	}{
		"right":       {nil, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, ""},
		"authority":   {nil, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}, "give the.ca the certificate of the authority that signed the server's"},
		"host":        {nil, &tls.Config{RootCAs: pool, ServerName: "localhost"}, "name the host in the.address as the server's certificate does"},
		"expired":     {nil, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Time: func() time.Time { return time.Now().AddDate(1, 0, 0) }}, "renew the server's certificate"},
		"client":      {asking, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, "give the.cert a client certificate that the server trusts"},
		"client, 1.2": {asking, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}, "give the.cert a client certificate that the server trusts"},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := certificate.Server()
			require.NoError(t, err)
			if c.server != nil {
				c.server(settings)
			}
			l, err := tls.Listen("tcp", "127.0.0.1:0", settings)
			require.NoError(t, err)
			requireWayOut(t, c.want, greet(t, l, c.client))
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		requireWayOut(t, "turn TLS on at the server, name a port of it that speaks TLS in the.address, or take out the.use", greet(t, l, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}))
	})
	requireWayOut(t, "", nil)
	requireWayOut(t, "", io.EOF)
	requireWayOut(t, "", &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF})
}

func requireWayOut(t *testing.T, want string, err error) {
	t.Helper()
	if err != nil {
		err = fmt.Errorf("connect: %w", err)
	}
	require.Equal(t, want, cdc.TLSWayOut(err, cdc.TLSKeys{Address: "the.address", CA: "the.ca", Cert: "the.cert", Use: "the.use"}), "%v", err)
}

// greet connects once and gives what came of it; the server says hello in plain words.
func greet(t *testing.T, l net.Listener, settings *tls.Config) error {
	t.Helper()
	defer l.Close() //nolint:errcheck // the test is over
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close() // the test is over
		_, _ = io.WriteString(conn, "hello, who is there?\n")
		_, _ = io.Copy(io.Discard, conn)
	}()
	settings.MinVersion = tls.VersionTLS12
	conn, err := tls.Dial("tcp", l.Addr().String(), settings)
	if err != nil {
		return err
	}
	defer conn.Close()                  //nolint:errcheck // the test is over
	_, err = conn.Read(make([]byte, 1)) // with TLS 1.3 a server refuses a client here
	return err
}
