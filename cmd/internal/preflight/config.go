package preflight

import (
	"net"
	"net/url"
	"strings"

	"dirtbike/config"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
)

// checkConfig checks what the config alone shows: it has been parsed already.
func (r *run) checkConfig(p *part) {
	c := r.config
	p.ok("config-file", c.Path(), "it can be read, and fits itself")
	if c.Privacy == nil {
		p.warn("config-privacy", "privacy", "dirtbike init --source \"$SOURCE_URL\" --out allowlist.yaml", "there is no privacy section: every column of every captured table is published as it is. init drafts an allowlist to take the section from")
	} else {
		p.ok("config-privacy", "privacy", "mode %s, %s named", c.Privacy.Mode, count(len(c.Privacy.Columns), "table"))
	}
	r.judgeEncryption()
}

// judgeEncryption warns of what would cross a network readable by everybody on it.
func (r *run) judgeEncryption() {
	c := r.config
	const readable = "rows and passwords cross the network readable"
	if o, err := pgx.ParseConfig(c.Source.URL.Reveal()); err == nil {
		p := r.parts[partPostgres]
		switch plain := o.TLSConfig == nil; {
		case loopback(o.Host):
			p.ok("postgres-encryption", o.Host, "it is on this machine")
		case plain && !encryptedFallback(o):
			p.warn("postgres-encryption", "source.url", "", "sslmode=disable, and %s is another machine: %s. Set sslmode=verify-full (and sslrootcert) in source.url", o.Host, readable)
		case plain || plainFallback(o):
			p.warn("postgres-encryption", "source.url", "", "its sslmode (prefer, unless the URL says another) may fall back to no encryption, and %s is another machine: %s. Set sslmode=verify-full (and sslrootcert) in source.url", o.Host, readable)
		case o.TLSConfig.InsecureSkipVerify && o.TLSConfig.VerifyPeerCertificate == nil:
			p.warn("postgres-encryption", "source.url", "", "sslmode=require encrypts, but asks nobody for a certificate, so that somebody in between could read along. Set sslmode=verify-full (and sslrootcert) in source.url")
		default:
			p.ok("postgres-encryption", o.Host, "encrypted, and the server shows a certificate")
		}
	}
	hosts := make([]string, len(c.Kafka.Brokers))
	for i, broker := range c.Kafka.Brokers {
		hosts[i], _, _ = net.SplitHostPort(broker) // the config has checked it
	}
	judgePlain(r.parts[partKafka], "kafka.tls", c.Kafka.TLS == nil, setting("kafka", "tls", "{}"), hosts...)
	if u, err := url.Parse(c.Registry.URL.Reveal()); err == nil {
		judgePlain(r.parts[partRegistry], "registry.url", u.Scheme == "http", "", u.Hostname())
	}
	if o, err := clickhouse.ParseDSN(c.ClickHouse.URL.Reveal()); err == nil {
		var hosts []string
		for _, address := range o.Addr {
			host, _, _ := net.SplitHostPort(address) // an address without a port is no loopback
			hosts = append(hosts, host)
		}
		judgePlain(r.parts[partClickHouse], "clickhouse.tls", o.TLS == nil && c.ClickHouse.TLS == nil, setting("clickhouse", "tls", "{}"), hosts...)
	}
}

func judgePlain(p *part, subject string, plain bool, command string, hosts ...string) {
	slug, far := p.name+"-encryption", ""
	for _, host := range hosts {
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
		hint := ""
		if command == "" {
			hint = "; use https://"
		}
		p.warn(slug, subject, command, "not encrypted, and %s is another machine: whoever is on the network can read along%s", far, hint)
	}
}

// loopback reports whether the host is this machine, or a socket of it.
func loopback(host string) bool {
	if host == "localhost" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func encryptedFallback(o *pgx.ConnConfig) bool {
	for _, f := range o.Fallbacks {
		if f.TLSConfig != nil {
			return true
		}
	}
	return false
}

func plainFallback(o *pgx.ConnConfig) bool {
	for _, f := range o.Fallbacks {
		if f.TLSConfig == nil {
			return true
		}
	}
	return false
}

// hashKeyCommand brings the key's file from where capture made it.
func hashKeyCommand(c *config.Config) string {
	return "scp CAPTURE_HOST:" + shell(c.HashKeyFile()) + " " + shell(c.HashKeyFile())
}
