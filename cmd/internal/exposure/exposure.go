// Package exposure says which connections to other machines somebody on the way could read, or pose as the server of.
// It is the one place that works this out from the config: check, status, readyz and the log at a start say what it
// gives.
package exposure

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/config"
)

// Connection is one of the config's connections, or the endpoints.
type Connection struct {
	// Part is postgres, kafka, registry, clickhouse or ops.
	Part string
	// Subject is the setting that decides.
	Subject string
	// Good says why nobody on the way can read what is sent; empty if somebody can.
	Good string
	// Problem says what somebody on the way can do, and what to do against it; nil if nothing.
	Problem *cdc.Problem
}

// Of judges every connection in the config. Addresses of this machine are always good; others are so if the connection
// is encrypted and the server's certificate is verified, its authority and its name.
func Of(c *config.Config) []Connection {
	return []Connection{ofPostgres(c), ofKafka(c), ofRegistry(c), ofClickHouse(c), ofOps(c)}
}

// Problems are those of the connections that are not good.
func Problems(c *config.Config) (problems []*cdc.Problem) {
	for _, one := range Of(c) {
		if one.Problem != nil {
			problems = append(problems, one.Problem)
		}
	}
	return problems
}

// way is how one host is reached.
type way struct {
	host string
	tls  *tls.Config // nil is not encrypted
}

func (w way) verified() bool { return w.tls != nil && !w.tls.InsecureSkipVerify }

// judge judges all ways to a part that may be taken. fix is what to do.
func judge(part, subject, fix string, ways ...way) Connection {
	c := Connection{Part: part, Subject: subject, Good: "encrypted, and the server's certificate is verified"}
	far := slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return loopback(w.host) })
	if len(far) == 0 {
		c.Good = "it is on this machine"
		return c
	}
	plain := slices.IndexFunc(far, func(w way) bool { return w.tls == nil })
	open := slices.IndexFunc(far, func(w way) bool { return !w.verified() })
	switch {
	case open < 0:
		return c
	case plain < 0:
		what := "no certificate of it is verified, so that somebody in between could pose as it and read along"
		if far[open].tls.VerifyPeerCertificate != nil {
			what = "the name in its certificate is not compared, so that anybody with another certificate of that authority could pose as it and read along"
		}
		c.Problem = cdc.Failed("%s: the connection to %s is encrypted, but %s", subject, far[open].host, what)
	case slices.ContainsFunc(far, func(w way) bool { return w.tls != nil }):
		c.Problem = cdc.Failed("%s: the connection to %s may fall back to no encryption: rows and passwords would cross the network readable", subject, far[plain].host)
	default:
		c.Problem = cdc.Failed("%s: the connection to %s is not encrypted: anyone on the network in between can read what is sent", subject, far[plain].host)
	}
	c.Good = ""
	c.Problem.Fix("%s", fix)
	return c
}

func ofPostgres(c *config.Config) Connection {
	o, err := (postgres.Login{URL: c.Source.URL.Reveal()}).Config()
	if err != nil { // the one that connects says so
		return Connection{Part: "postgres", Subject: "source.url", Good: "it cannot be used"}
	}
	ways := []way{{o.Host, o.TLSConfig}}
	for _, f := range o.Fallbacks {
		ways = append(ways, way{f.Host, f.TLSConfig})
	}
	return judge("postgres", "source.url", "Set sslmode=verify-full (and sslrootcert) in source.url", ways...)
}

func ofKafka(c *config.Config) Connection {
	return judge("kafka", "kafka.tls", "kafka: {tls: {}}", waysTo(c.Kafka.Brokers, verifying(c.Kafka.TLS != nil))...)
}

func ofRegistry(c *config.Config) Connection {
	u, err := url.Parse(c.Registry.URL.Reveal())
	if err != nil {
		return Connection{Part: "registry", Subject: "registry.url", Good: "it cannot be used"}
	}
	return judge("registry", "registry.url", "Use https:// in registry.url", waysTo(strings.Split(u.Host, ","), verifying(u.Scheme == "https"))...)
}

func ofClickHouse(c *config.Config) Connection {
	o, err := clickhouse.ParseDSN(c.ClickHouse.URL.Reveal())
	if err != nil {
		return Connection{Part: "clickhouse", Subject: "clickhouse.url", Good: "it cannot be used"}
	}
	settings := cmp.Or(verifying(c.ClickHouse.TLS != nil), o.TLS) // as the connections take it
	subject, fix := "clickhouse.tls", "clickhouse: {tls: {}}"
	if settings != nil && settings.InsecureSkipVerify {
		subject, fix = "clickhouse.url", "Take skip_verify out of clickhouse.url, and name the authority as clickhouse.tls.ca"
	}
	return judge("clickhouse", subject, fix, waysTo(o.Addr, settings)...)
}

// ofOps judges the endpoints: callers look after verifying, so that encryption is enough.
func ofOps(c *config.Config) Connection {
	host, _, err := net.SplitHostPort(c.Ops.Listen)
	switch {
	case err != nil || config.IsLoopback(host):
		return Connection{Part: "ops", Subject: "ops.listen", Good: "only this machine reaches it"}
	case c.Ops.TLS != nil:
		return Connection{Part: "ops", Subject: "ops.tls", Good: "encrypted"}
	}
	return Connection{Part: "ops", Subject: "ops.listen", Problem: cdc.Failed(
		"ops.listen: other machines reach %s, which is not encrypted: anyone on the network between can read the token and the answers", c.Ops.Listen).
		Fix("ops: {tls: {cert: ops.pem, key: ops.key}}")}
}

// verifying are the settings of a client that verifies, or nil.
func verifying(is bool) *tls.Config {
	if !is {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}

func waysTo(addresses []string, settings *tls.Config) (ways []way) {
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		ways = append(ways, way{host, settings})
	}
	return ways
}

// loopback reports whether the host is this machine, or a socket of it.
func loopback(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || config.IsLoopback(strings.Trim(host, "[]"))
}
