package exposure

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

// parts are the sections of a config.
type parts struct{ postgres, kafka, registry, clickhouse, ops string }

// judged gives the connections that are exposed, each with its way out.
func (p parts) judged(t *testing.T) map[string]string {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), fmt.Appendf(nil,
		"source: {url: %q}\nkafka: %s\nregistry: {url: %q}\nclickhouse: %s\nops: %s", p.postgres, p.kafka, p.registry, p.clickhouse, p.ops))
	require.NoError(t, err)
	ways := map[string]string{}
	for _, one := range Of(c) {
		if one.Problem != nil {
			require.Len(t, one.Problem.Try, 1)
			ways[one.Part] = one.Problem.Try[0].Command
		}
	}
	return ways
}

// inserted takes what the way out has inside the section that it names, and puts it first into the section.
func inserted(section, says string) string {
	inner := regexp.MustCompile(`^\w+: \{(.*)\}$`).FindStringSubmatch(says)[1]
	return "{" + inner + ", " + strings.TrimPrefix(section, "{")
}

// TestWaysOutOfExposureAreTaken: each connection that somebody could read is one that nobody can after what it says.
func TestWaysOutOfExposureAreTaken(t *testing.T) {
	mode := regexp.MustCompile(`sslmode=verify-full`)
	sslmode := func(p *parts, says string) {
		set, old := mode.FindString(says), regexp.MustCompile(`sslmode=[a-z-]+`)
		switch url := p.postgres; {
		case old.MatchString(url):
			p.postgres = old.ReplaceAllString(url, set)
		case strings.Contains(url, "://"):
			p.postgres += "?" + set
		default:
			p.postgres += " " + set
		}
	}
	for name, c := range map[string]struct {
		fault func(*parts)
		part  string
		says  string
		take  func(p *parts, says string)
	}{
		"plain Postgres":      {func(p *parts) { p.postgres = "postgres://u@db/d" }, "postgres", "Set sslmode=verify-full (and sslrootcert) in source.url", sslmode},
		"unverified Postgres": {func(p *parts) { p.postgres = "postgres://u@db/d?sslmode=require" }, "postgres", "Set sslmode=verify-full (and sslrootcert) in source.url", sslmode},
		"Postgres by words":   {func(p *parts) { p.postgres = "host=db user=u sslmode=verify-ca" }, "postgres", "Set sslmode=verify-full (and sslrootcert) in source.url", sslmode},
		"by words, no mode":   {func(p *parts) { p.postgres = "host=db user=u" }, "postgres", "Set sslmode=verify-full (and sslrootcert) in source.url", sslmode},
		"plain Kafka":         {func(p *parts) { p.kafka = `{brokers: ["kafka:9092"]}` }, "kafka", "kafka: {tls: {}}", func(p *parts, says string) { p.kafka = inserted(p.kafka, says) }},
		"plain registry": {func(p *parts) { p.registry = "http://registry:8081" }, "registry", "Use https:// in registry.url", func(p *parts, says string) {
			p.registry = strings.Replace(p.registry, "http://", strings.Fields(says)[1], 1)
		}},
		"plain ClickHouse": {func(p *parts) { p.clickhouse = `{url: "clickhouse://ch:9000"}` }, "clickhouse", "clickhouse: {tls: {}}", func(p *parts, says string) {
			p.clickhouse = inserted(p.clickhouse, says)
		}},
		"unverified ClickHouse": {func(p *parts) { p.clickhouse = `{url: "clickhouse://ch:9440?secure=true&skip_verify=true"}` }, "clickhouse",
			"Take skip_verify out of clickhouse.url, and name the authority as clickhouse.tls.ca", func(p *parts, says string) {
				p.clickhouse = strings.Replace(p.clickhouse, "&"+strings.Fields(says)[1]+"=true\"", `", tls: {ca: ca.pem}`, 1)
			}},
		"plain endpoints": {func(p *parts) { p.ops = `{listen: "0.0.0.0:1", token: tq7Vx2Lm9ZrB4wKp}` }, "ops", "ops: {tls: {cert: ops.pem, key: ops.key}}", func(p *parts, says string) {
			p.ops = inserted(p.ops, says)
		}},
	} {
		p := parts{goodPostgres, goodKafka, goodRegistry, goodClickHouse, "{}"}
		require.Empty(t, p.judged(t))
		c.fault(&p)
		require.Equal(t, map[string]string{c.part: c.says}, p.judged(t), name)
		c.take(&p, p.judged(t)[c.part])
		require.Empty(t, p.judged(t), name)
	}
}
