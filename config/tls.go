package config

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"

	"dirtbike/cdc"
)

// TLS is how a connection is encrypted. Each value is the path of a PEM file, relative to the config, or the PEM text
// itself.
type TLS struct {
	// Authorities to trust instead of the system's: a PEM file or text.
	CA string `yaml:"ca"`
	// Client certificate: a PEM file or text.
	Cert string `yaml:"cert"`
	// Key of the client certificate: a PEM file or text; never printed.
	Key Secret `yaml:"key"`

	at *positions
}

// ServerTLS is how the endpoints of this process are encrypted. Each value is the path of a PEM file, relative to the
// config, or the PEM text itself.
type ServerTLS struct {
	// Certificate that is shown to clients, with those between it and the authority: a PEM file or text.
	Cert string `yaml:"cert" required:"true" rotates:"all" example:"ops.pem"`
	// Key of the certificate: a PEM file or text; never printed.
	Key Secret `yaml:"key" required:"true" rotates:"all" example:"ops.key"`
	// Authorities of client certificates. With it a request without such a certificate is refused, except for /livez. A
	// PEM file or text.
	CA string `yaml:"ca" rotates:"all"`

	at *positions
}

// Client returns the settings for crypto/tls (TLS 1.2 at least), reading the files again at each call. A nil TLS gives
// nil: no encryption. Certificates of servers are always verified. Errors never repeat a value.
func (t *TLS) Client() (*tls.Config, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // nil is what drivers take for "no TLS"
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		var err error
		if settings.RootCAs, err = t.pool(); err != nil {
			return nil, err
		}
	}
	if t.Cert == "" {
		return settings, nil
	}
	pair, err := t.pair()
	if err != nil {
		return nil, err
	}
	settings.Certificates = []tls.Certificate{pair}
	return settings, nil
}

// Server returns the settings for crypto/tls (TLS 1.2 at least), reading the files again at each call. A client's
// certificate is verified if it shows one; whether it had to is the caller's to ask (ClientCAs is nil without ca). A
// nil ServerTLS gives nil: no encryption. Errors never repeat a value.
func (s *ServerTLS) Server() (*tls.Config, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // nil is what servers take for "no TLS"
	}
	t := &TLS{CA: s.CA, Cert: s.Cert, Key: s.Key, at: s.at}
	pair, err := t.pair()
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if s.CA != "" {
		settings.ClientAuth = tls.VerifyClientCertIfGiven
		settings.ClientCAs, err = t.pool()
	}
	return settings, err
}

func (t *TLS) pool() (*x509.CertPool, error) {
	pem, err := t.pem("tls.ca", t.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, cdc.Failed("tls.ca: no PEM certificate in it").Fix("a file with -----BEGIN CERTIFICATE-----")
	}
	return pool, nil
}

func (t *TLS) pair() (pair tls.Certificate, err error) {
	cert, err := t.pem("tls.cert", t.Cert)
	if err != nil {
		return pair, err
	}
	key, err := t.pem("tls.key", t.Key.Reveal())
	if err != nil {
		return pair, err
	}
	if pair, err = tls.X509KeyPair(cert, key); err != nil {
		return pair, cdc.Failed("tls.cert and tls.key").Because(err).Fix("a certificate and its own key, both as PEM")
	}
	return pair, nil
}

// pem returns PEM text as it is, else the file that it names. An error does not repeat the value, which may be a key.
func (t *TLS) pem(key, value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	path := inFolder(filepath.Dir(t.at.fileName()), value)
	data, err := readLimited(path, maxPEM)
	if err != nil {
		return nil, cdc.Failed("%s: neither PEM text nor a file that can be read", key).Because(cause(err)).Fix("%s", tryFile(path, "FILE", err))
	}
	return data, nil
}
