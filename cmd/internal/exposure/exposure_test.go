package exposure

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

// good addresses are encrypted and verified.
const (
	goodPostgres   = "postgres://u@db/d?sslmode=verify-full"
	goodKafka      = `{brokers: ["kafka:9093"], tls: {}}`
	goodRegistry   = "https://registry"
	goodClickHouse = `{url: "clickhouse://ch:9440", tls: {}}`
)

// exposed gives the parts that somebody on the way could read.
func exposed(t *testing.T, postgres, kafka, registry, clickhouse, more string) (parts []string) {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), fmt.Appendf(nil,
		"source: {url: %q}\nkafka: %s\nregistry: {url: %q}\nclickhouse: %s\n%s", postgres, kafka, registry, clickhouse, more))
	require.NoError(t, err)
	for _, one := range Of(c) {
		require.NotEqual(t, one.Good == "", one.Problem == nil, one.Part)
		if one.Problem != nil {
			require.NotEmpty(t, one.Problem.Try)
			require.NotContains(t, one.Problem.Error(), "secret")
			parts = append(parts, one.Part)
		}
	}
	require.Len(t, Problems(c), len(parts))
	return parts
}

func TestEncryptedAndVerified(t *testing.T) {
	require.Empty(t, exposed(t, goodPostgres, goodKafka, goodRegistry, goodClickHouse, ""))
	require.Empty(t, exposed(t, "postgres://u@127.0.0.1/d?sslmode=disable", `{brokers: ["localhost:9092"]}`, "http://[::1]:8081", `{url: "clickhouse://127.0.0.2:9000"}`, ""), "this machine")
}

// TestPostgresModes: only verify-full shows that the server is the one that was meant.
func TestPostgresModes(t *testing.T) {
	for url, good := range map[string]bool{
		"postgres://u:secret@db/d":                                      false, // prefer
		"postgres://u:secret@db/d?sslmode=disable":                      false,
		"postgres://u:secret@db/d?sslmode=allow":                        false,
		"postgres://u:secret@db/d?sslmode=prefer":                       false,
		"postgres://u:secret@db/d?sslmode=require":                      false,
		"postgres://u:secret@db/d?sslmode=verify-ca":                    false,
		"postgres://u:secret@db/d?sslmode=verify-full":                  true,
		"postgres://u:secret@127.0.0.1:1,db:2/d?sslmode=require":        false,
		"postgres://u:secret@127.0.0.1:1,localhost:2/d?sslmode=disable": true,
		"host=/var/run/postgresql user=u dbname=d":                      true,
		"host=db user=u password=secret dbname=d sslmode=require":       false,
		"host=127.0.0.1 hostaddr=127.0.0.1 user=u dbname=d":             true,
	} {
		parts := exposed(t, url, goodKafka, goodRegistry, goodClickHouse, "")
		require.Equal(t, good, len(parts) == 0, url)
	}
}

func TestOtherParts(t *testing.T) {
	for _, c := range []struct{ kafka, registry, clickhouse, more, part string }{
		{`{brokers: ["127.0.0.1:1", "kafka:9092"]}`, goodRegistry, goodClickHouse, "", "kafka"},
		{`{brokers: ["kafka:9092"], sasl: {mechanism: PLAIN, user: u, password: secret}}`, goodRegistry, goodClickHouse, "", "kafka"},
		{goodKafka, "http://registry:8081", goodClickHouse, "", "registry"},
		{goodKafka, "http://10.0.0.1", goodClickHouse, "", "registry"},
		{goodKafka, goodRegistry, `{url: "clickhouse://u:secret@ch:9000"}`, "", "clickhouse"},
		{goodKafka, goodRegistry, `{url: "clickhouse://u:secret@ch:9440?secure=true&skip_verify=true"}`, "", "clickhouse"},
		{goodKafka, goodRegistry, `{url: "clickhouse://u:secret@ch:9440?secure=true"}`, "", ""},
		{goodKafka, goodRegistry, `{url: "clickhouse://u:secret@ch:9440?secure=true&skip_verify=true", tls: {}}`, "", ""}, // tls takes its place
		{goodKafka, goodRegistry, goodClickHouse, `ops: {listen: "0.0.0.0:1", token: tq7Vx2Lm9ZrB4wKp}`, "ops"},
		{goodKafka, goodRegistry, goodClickHouse, `ops: {listen: "0.0.0.0:1", token: tq7Vx2Lm9ZrB4wKp, tls: {cert: a, key: b}}`, ""},
	} {
		parts := exposed(t, goodPostgres, c.kafka, c.registry, c.clickhouse, c.more)
		if c.part == "" {
			require.Empty(t, parts, c.clickhouse)
		} else {
			require.Equal(t, []string{c.part}, parts)
		}
	}
}

// TestUnverifiedSaysHow: an authority without a name is another risk than no authority.
func TestUnverifiedSaysHow(t *testing.T) {
	verify := func([][]byte, [][]*x509.Certificate) error { return nil }
	authority := judge("p", "s", "f", way{"db", &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: verify}})
	nothing := judge("p", "s", "f", way{"db", &tls.Config{InsecureSkipVerify: true}})
	require.NotEqual(t, authority.Problem.What, nothing.Problem.What)
}
