package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// TLS is how a connection is encrypted. Each value is the path of a PEM file, relative to the config, or the PEM text itself.
type TLS struct {
	// Authorities to trust instead of the system's: a PEM file or text.
	CA string `yaml:"ca"`
	// Client certificate: a PEM file or text.
	Cert string `yaml:"cert"`
	// Key of the client certificate: a PEM file or text; never printed.
	Key Secret `yaml:"key"`

	at *positions
}

// Client returns the settings for crypto/tls (TLS 1.2 at least), reading the files anew at each call. A nil TLS gives nil: no
// encryption. Certificates of servers are always verified. Errors never repeat a value.
func (t *TLS) Client() (*tls.Config, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // nil is what drivers take for "no TLS"
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := t.pem(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls.ca: no PEM certificate in it. Try: a file with -----BEGIN CERTIFICATE-----")
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

func (t *TLS) pair() (tls.Certificate, error) {
	cert, err := t.pem(t.Cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls.cert: %w", err)
	}
	key, err := t.pem(t.Key.Reveal())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls.key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls.cert and tls.key: %w. Try: a certificate and its own key, both as PEM", err)
	}
	return pair, nil
}

// pem returns the text itself if it is PEM, else the content of the file that it names. An error does not repeat the
// value: it may be a key that is no PEM.
func (t *TLS) pem(value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	path := value
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(t.at.fileName()), path)
	}
	data, err := readLimited(path, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("neither PEM text nor a file that can be read: %w. Try: %s", cause(err), tryFile("FILE", err))
	}
	return data, nil
}
