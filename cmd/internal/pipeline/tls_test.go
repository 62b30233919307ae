package pipeline

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"dirtbike/config"
)

// TestClickHouseTLS: clickhouse.tls reaches the loader and the connections of the health checks: both trust the
// authority that the config names, and only that.
func TestClickHouseTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil) // for its certificate
	defer certified.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
	for name, use := range map[string]func(context.Context, *config.Config) error{
		"loader": func(ctx context.Context, c *config.Config) error {
			l, _, err := NewLoad(Options{Config: c, Log: zap.NewNop()})
			if err != nil {
				return err
			}
			return l.Run(ctx)
		},
		"health": func(ctx context.Context, c *config.Config) error {
			conn, err := ClickHouse(c)
			if err != nil {
				return err
			}
			defer conn.Close() //nolint:errcheck // nothing is open on it
			_ = conn.Ping(ctx) // nobody answers: the handshake counts
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
			require.NoError(t, err)
			defer l.Close() //nolint:errcheck // nothing is written
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), own, 0o600))
			c, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://`+l.Addr().String()+`", tls: {ca: ca.pem}}
`))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- use(ctx, c) }()
			handshake(t, l)
			cancel()
			require.NoError(t, <-done)
		})
	}
}

// handshake takes one connection and expects that its client trusts the certificate.
func handshake(t *testing.T, l net.Listener) {
	t.Helper()
	conn, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.(*tls.Conn).Handshake())
	one := make([]byte, 1)
	_, err = conn.Read(one) // with TLS 1.3 a client that distrusts says so here
	require.NoError(t, err)
	require.Zero(t, one[0], "the native protocol's hello")
	require.NoError(t, conn.Close())
}
