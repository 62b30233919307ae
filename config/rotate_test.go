package config_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// TestFixed: a running process takes over credentials and what concerns TLS; every other difference is named, without a
// value.
func TestFixed(t *testing.T) {
	const sections = "registry: {url: \"http://r:8081\"}\nclickhouse: {url: \"clickhouse://c:9000\"}\n"
	whole := func(source, kafka, more string) string {
		return "source: {url: \"" + source + "\"}\nkafka: {brokers: [\"k:9092\"]" + kafka + "}\n" + more
	}
	const pg = "postgres://u@h:5432/d"
	for name, c := range map[string]struct {
		was, is string
		keys    []string
	}{
		"nothing":  {with(""), with(""), nil},
		"password": {whole(pg, "", sections), whole("postgres://v:w@h:5432/d", "", sections), nil},
		"sslmode":  {whole(pg, "", sections), whole(pg+"?sslmode=verify-full&sslrootcert=/ca.pem", "", sections), nil},
		"host":     {whole(pg, "", sections), whole("postgres://u@other:5432/d", "", sections), []string{"source.url"}},
		"database": {whole(pg, "", sections), whole("postgres://u@h:5432/other", "", sections), []string{"source.url"}},
		"options":  {whole(pg, "", sections), whole(pg+"?application_name=x", "", sections), []string{"source.url"}},
		"keywords": {
			whole("host=h user=u password='it''s' dbname=d", "", sections), whole("dbname = d host=h user=v password=x sslmode=require", "", sections), nil,
		},
		"keywords, host": {whole("host=h user=u", "", sections), whole("host=i user=u", "", sections), []string{"source.url"}},
		"logins": {
			whole(pg, "", sections),
			whole(pg, ", tls: {}, sasl: {mechanism: PLAIN, user: u, password: p}", "registry: {url: \"http://u:p@r:8081\", user: u, password: p, tls: {}}\n"+
				"clickhouse: {url: \"clickhouse://u:p@c:9000?secure=true\", tls: {}}\nops: {token: "+testToken+"}\n"),
			nil,
		},
		"much": {
			with(""), whole(pg, ", prefix: x, partitions: 7", "registry: {url: \"https://r:8081\"}\nclickhouse: {url: \"clickhouse://c:9000\", load: {batch_rows: 7}}\n"+
				"privacy: {mode: open}\nops: {listen: \"127.0.0.1:1\", tls: {cert: a, key: b}}\n"),
			[]string{"source.url", "kafka.prefix", "kafka.partitions", "registry.url", "clickhouse.load.batch_rows", "privacy", "ops.listen", "ops.tls"},
		},
		"hash key": {
			with("privacy: {mode: open, hash: {keys: {k1: " + testHashKey + "}}}"), with("privacy: {mode: open, hash: {keys: {k1: " + testHashKey + "00}}}"),
			[]string{"privacy.hash.keys"},
		},
		"certificate": {with("ops: {tls: {cert: a, key: b}}"), with("ops: {tls: {cert: c, key: d, ca: e}}"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.keys, parse(t, c.was).Fixed(parse(t, c.is)))
		})
	}
}

// TestListenBeyondLoopback: what other hosts reach asks who they are; encryption alone does not.
func TestListenBeyondLoopback(t *testing.T) {
	const token = testToken
	for ops, key := range map[string]string{
		`{listen: "127.0.0.1:0"}`:                          "",
		`{listen: "localhost:8085"}`:                       "",
		`{listen: "[::1]:8085"}`:                           "",
		`{listen: "127.1.2.3:8085"}`:                       "",
		`{listen: "0.0.0.0:8085"}`:                         "ops.listen",
		`{listen: ":8085"}`:                                "ops.listen",
		`{listen: "[::]:8085"}`:                            "ops.listen",
		`{listen: "db.example:8085"}`:                      "ops.listen",
		`{listen: "0.0.0.0:8085", token: ` + token + `}`:   "",
		`{listen: "0.0.0.0:8085", tls: {cert: a, key: b}}`: "ops.listen",
		`{token: hunter2}`:                                 "ops.token",
		`{token: "hunter2 hunter2 hunter2"}`:               "ops.token",
		`{listen: "0.0.0.0:8085", tls: {cert: a}}`:         "ops.tls.key",
		`{token: "` + token + `ab==", tls: {key: "x"}}`:    "ops.tls.cert",
	} {
		_, err := config.Parse("dirtbike.yaml", []byte(with("ops: "+ops)))
		if key == "" {
			require.NoError(t, err, ops)
			continue
		}
		requireKey(t, err, key)
		require.NotContains(t, err.Error(), "hunter2")
		requireTry(t, err)
	}
	listen := func(address string) func(*config.Config) {
		return func(c *config.Config) { c.Ops.Listen = address }
	}
	_, err := config.Parse("dirtbike.yaml", []byte(with("")), listen("0.0.0.0:1"))
	requireKey(t, err, "ops.listen")
	_, err = config.Parse("dirtbike.yaml", []byte(with(`ops: {listen: "0.0.0.0:1"}`)), listen("127.0.0.1:1"))
	require.NoError(t, err)
}

func TestServerTLS(t *testing.T) {
	cert, key := selfSigned(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ops.pem"), []byte(cert), 0o600))
	server := func(ops string) (*tls.Config, error) {
		t.Setenv("KEY", key)
		c, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(with("ops: "+ops)))
		require.NoError(t, err)
		return c.Ops.TLS.Server()
	}
	settings, err := server(`{}`)
	require.NoError(t, err)
	require.Nil(t, settings)
	settings, err = server(`{tls: {cert: ops.pem, key: "${env:KEY}"}}`)
	require.NoError(t, err)
	require.Len(t, settings.Certificates, 1)
	require.Nil(t, settings.ClientCAs)
	settings, err = server(`{tls: {cert: ops.pem, key: "${env:KEY}", ca: ops.pem}}`)
	require.NoError(t, err)
	require.NotNil(t, settings.ClientCAs)
	for ops, want := range map[string]string{
		`{tls: {cert: hunter2, key: "${env:KEY}"}}`:              "tls.cert",
		`{tls: {cert: ops.pem, key: hunter2}}`:                   "tls.key",
		`{tls: {cert: ops.pem, key: "${env:KEY}", ca: hunter2}}`: "tls.ca",
	} {
		_, err = server(ops)
		requireTry(t, err)
		require.True(t, strings.HasPrefix(cdc.Explain(err).What, want+": "), err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
