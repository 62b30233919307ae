package preflight

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cmd/internal/inventory"
	"dirtbike/config"
)

// checkConfig checks what the config alone shows: it has been parsed already.
func (r *run) checkConfig(p *part) {
	p.ok("config-file", r.config.Path(), "it can be read, and fits itself")
	r.judgeEncryption()
}

// judgePrivacy says what leaves Postgres, and warns of what leaves though nobody named it; where the tables are not
// known, of what may.
func (r *run) judgePrivacy(p *part) {
	const slug, subject = "config-privacy", "privacy"
	command := "dirtbike inventory"
	if r.config.Privacy == nil {
		command = "dirtbike init --source \"$SOURCE_URL\" --out allowlist.yaml"
	}
	i := inventory.Of(r.config, r.tables)
	problem := i.Warning()
	switch {
	case r.tables == nil && r.config.Privacy.MayOpen():
		p.warn(slug, subject, command, "columns that nobody names leave as they are, by privacy.mode, \"*\" or for want of a privacy section; "+
			"which ones is not known, since %s", r.unlisted())
	case r.tables == nil:
		p.ok(slug, subject, "only columns that it names leave Postgres; which tables have them is not known, since %s", r.unlisted())
	case problem != nil:
		p.warn(slug, subject, command, "%s", problem.What)
	default:
		p.ok(slug, subject, "%s", i.Summary())
	}
}

// judgeEncryption warns of what others on the network could read.
func (r *run) judgeEncryption() {
	c := r.config
	if o, err := pgx.ParseConfig(c.Source.URL.Reveal()); err == nil {
		judgePostgresEncryption(r.parts[partPostgres], o)
	}
	judgePlain(r.parts[partKafka], "kafka.tls", c.Kafka.TLS == nil, setting("kafka", "tls", "{}"), c.Kafka.Brokers...)
	if u, err := url.Parse(c.Registry.URL.Reveal()); err == nil {
		judgePlain(r.parts[partRegistry], "registry.url", u.Scheme == "http", "", u.Host)
	}
	if o, err := clickhouse.ParseDSN(c.ClickHouse.URL.Reveal()); err == nil {
		judgePlain(r.parts[partClickHouse], "clickhouse.tls", o.TLS == nil && c.ClickHouse.TLS == nil, setting("clickhouse", "tls", "{}"), o.Addr...)
	}
}

func judgePostgresEncryption(p *part, o *pgx.ConnConfig) {
	const slug, subject, verify = "postgres-encryption", "source.url", "Set sslmode=verify-full (and sslrootcert) in source.url"
	plain := o.TLSConfig == nil
	falls := func(plain bool) bool {
		return slices.ContainsFunc(o.Fallbacks, func(f *pgconn.FallbackConfig) bool { return (f.TLSConfig == nil) == plain })
	}
	readable := "and " + o.Host + " is another machine: rows and passwords cross the network readable. " + verify
	switch {
	case loopback(o.Host):
		p.ok(slug, o.Host, "it is on this machine")
	case plain && !falls(false):
		p.warn(slug, subject, "", "sslmode=disable, %s", readable)
	case plain || falls(true):
		p.warn(slug, subject, "", "its sslmode (prefer, unless the URL says another) may fall back to no encryption, %s", readable)
	case o.TLSConfig.InsecureSkipVerify && o.TLSConfig.VerifyPeerCertificate == nil:
		p.warn(slug, subject, "", "sslmode=require encrypts, but asks for no certificate, so that an attacker in between could read along. %s", verify)
	default:
		p.ok(slug, o.Host, "encrypted, and the server shows a certificate")
	}
}

// judgePlain judges a part whose addresses are host:port, or a host alone.
func judgePlain(p *part, subject string, plain bool, command string, addresses ...string) {
	slug, far := p.name+"-encryption", ""
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		if !loopback(host) {
			far = host
		}
	}
	switch {
	case !plain:
		p.ok(slug, subject, "encrypted")
	case far == "":
		p.ok(slug, subject, "not encrypted, but on this machine")
	default:
		p.warn(slug, subject, command, "not encrypted, and %s is another machine: anyone on the network can read along%s", far, when(command == "", "; use https://"))
	}
}

// loopback reports whether the host is this machine, or a socket of it.
func loopback(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || config.IsLoopback(host)
}
