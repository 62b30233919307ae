package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// selfSigned makes a certificate and its key, in PEM.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func TestTLSFromFilesAndText(t *testing.T) {
	cert, key := selfSigned(t)
	t.Setenv("KEY", key)
	cfg := parse(t, with(`privacy: {mode: open}`))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(cfg.Path()), "cert.pem"), []byte(cert), 0o600))
	cfg, err := config.Parse(cfg.Path(), []byte(`
source: {url: "postgres://u@h/d"}
kafka: {brokers: ["k:9092"], tls: {ca: cert.pem, cert: "${file:cert.pem}", key: "${env:KEY}"}}
registry: {url: "http://r:8081", tls: {}}
clickhouse: {url: "clickhouse://c:9000"}
`))
	require.NoError(t, err)
	settings, err := cfg.Kafka.TLS.Client()
	require.NoError(t, err)
	require.NotNil(t, settings.RootCAs)
	require.Len(t, settings.Certificates, 1)
	require.Equal(t, uint16(tls.VersionTLS12), settings.MinVersion)

	settings, err = cfg.Registry.TLS.Client()
	require.NoError(t, err)
	require.Nil(t, settings.RootCAs, "the system's authorities")

	settings, err = cfg.ClickHouse.TLS.Client()
	require.NoError(t, err)
	require.Nil(t, settings, "no encryption")
}

func TestTLSErrorsDoNotRepeatValues(t *testing.T) {
	cert, _ := selfSigned(t)
	for want, settings := range map[string]config.TLS{
		"tls.ca: neither PEM":    {CA: "hunter2secret"},
		"tls.ca: no PEM":         {CA: "-----BEGIN hunter2secret"},
		"tls.cert: neither":      {Cert: "hunter2secret", Key: config.NewSecret("hunter2secret")},
		"tls.key: neither":       {Cert: cert, Key: config.NewSecret("hunter2secret")},
		"tls.cert and tls.key: ": {Cert: cert, Key: config.NewSecret("-----BEGIN hunter2secret")},
	} {
		_, err := settings.Client()
		requireTry(t, err)
		require.True(t, strings.HasPrefix(cdc.Explain(err).What, want), err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
