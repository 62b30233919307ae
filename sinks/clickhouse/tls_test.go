package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
)

// TestTLS loads through a proxy that ends TLS in front of ClickHouse: every connection, of clickhouse-go and of ch-go,
// is encrypted and verified.
func TestTLS(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "sealed")
	w.fill(tab, 0, 100, 50)
	proxy := startTLSProxy(t)
	url := proxy.url
	w.load(func(o *Options) { o.URL, o.TLS = url, proxy.client })
	w.wait()
	require.Equal(t, []string{"100"}, w.query("SELECT count() FROM DB.sealed"))
	require.GreaterOrEqual(t, proxy.sessions.Load(), int32(2))

	stranger := newWorld(t).load(func(o *Options) {
		o.URL, o.TLS = url, &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	})
	require.Eventually(t, func() bool { return stranger.LastError() != "" }, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, stranger.LastError(), "certificate")
	stranger.stop(t)
}

type tlsProxy struct {
	url      string
	client   *tls.Config
	sessions atomic.Int32
}

// startTLSProxy ends TLS and hands the bytes on to the embedded ClickHouse.
func startTLSProxy(t *testing.T) *tlsProxy {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(certified.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	url, err := chgo.ParseDSN(stack.Get(t).ClickHouse.URL())
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	p := &tlsProxy{url: strings.Replace(stack.Get(t).ClickHouse.URL(), url.Addr[0], l.Addr().String(), 1), client: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.hand(c, url.Addr[0]) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	return p
}

func (p *tlsProxy) hand(c net.Conn, to string) {
	defer c.Close()
	if c.(*tls.Conn).Handshake() != nil {
		return
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	p.sessions.Add(1)
	go func() {
		_, _ = io.Copy(server, c)
		_ = server.Close()
	}()
	_, _ = io.Copy(c, server)
}
