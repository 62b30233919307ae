package pipeline

import (
	"crypto/tls"
	"slices"

	"dirtbike/config"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Credentials are what a config stood for beyond its own text when they were read: what is in the files that it, or libpq's defaults,
// name.
type Credentials struct {
	known          bool
	user, password string
	settings       []*tls.Config
}

// ReadCredentials reads the files. What cannot be read is like nothing else, not even itself.
func ReadCredentials(c *config.Config) Credentials {
	source, err := pgx.ParseConfig(c.Source.URL.Reveal())
	if err != nil {
		return Credentials{}
	}
	out := Credentials{known: true, user: source.User, password: source.Password, settings: sourceTLS(&source.Config)}
	for _, read := range []func() (*tls.Config, error){c.Kafka.TLS.Client, c.Registry.TLS.Client, c.ClickHouse.TLS.Client, c.Ops.TLS.Server} {
		settings, err := read()
		if err != nil {
			return Credentials{}
		}
		out.settings = append(out.settings, settings)
	}
	return out
}

// sourceTLS gives the settings of all attempts to connect.
func sourceTLS(c *pgconn.Config) []*tls.Config {
	all := []*tls.Config{c.TLSConfig}
	for _, fallback := range c.Fallbacks {
		all = append(all, fallback.TLSConfig)
	}
	return all
}

// Same reports whether both are known, and alike.
func (c Credentials) Same(other Credentials) bool {
	return c.known && other.known && c.user == other.user && c.password == other.password && slices.EqualFunc(c.settings, other.settings, sameTLS)
}

// sameTLS compares what files hold: authorities and certificates. A key fits no other certificate.
func sameTLS(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	certificates := slices.EqualFunc(a.Certificates, b.Certificates, func(a, b tls.Certificate) bool {
		return slices.EqualFunc(a.Certificate, b.Certificate, slices.Equal)
	})
	return certificates && a.RootCAs.Equal(b.RootCAs) && a.ClientCAs.Equal(b.ClientCAs)
}
