package cdc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
)

// TLSKeys are the settings that decide whether a TLS handshake with a part succeeds, as ways out name them.
type TLSKeys struct {
	// Address leads to the part, CA names the authorities to trust, Cert the client's certificate, Use whether TLS is
	// spoken at all.
	Address, CA, Cert, Use string
}

// TLSWayOut says what to do about an error with which a TLS handshake failed, and would fail again; empty if err is
// something else.
func TLSWayOut(err error, keys TLSKeys) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var system x509.SystemRootsError
	var alert *net.OpError
	switch {
	case errors.As(err, &authority), errors.As(err, &system):
		return "give " + keys.CA + " the certificate of the authority that signed the server's"
	case errors.As(err, &name):
		return "name the host in " + keys.Address + " as the server's certificate does"
	case errors.As(err, &invalid):
		return "renew the server's certificate"
	case errors.As(err, &record), err != nil && strings.Contains(err.Error(), "server refused TLS connection"): // pgconn's, without a type
		return "turn TLS on at the server, name a port of it that speaks TLS in " + keys.Address + ", or take out " + keys.Use
	case errors.As(err, &alert) && alert.Op == "remote error" && aboutCertificate(alert.Err.Error()):
		return "give " + keys.Cert + " a client certificate that the server trusts"
	}
	return ""
}

// aboutCertificate recognises the alerts with which a server refuses a client's certificate, or that it has none: with
// TLS 1.2 some servers then only say that the handshake failed.
func aboutCertificate(alert string) bool {
	return strings.Contains(alert, "certificate") || strings.Contains(alert, "handshake failure")
}
