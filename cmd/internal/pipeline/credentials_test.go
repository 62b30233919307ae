package pipeline

import (
	"os"
	"path/filepath"
	"testing"

	"dirtbike/config"
	"dirtbike/docker/embedded/secure"

	"github.com/stretchr/testify/require"
)

// TestCredentials: every file whose content counts is seen, under the same name, too.
func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	authority, err := secure.NewAuthority("one")
	require.NoError(t, err)
	issue := func(name string) {
		certificate, err := authority.Issue("127.0.0.1")
		require.NoError(t, err)
		write(name+".pem", certificate.Cert)
		write(name+".key", certificate.Key)
	}
	names := []string{"pg", "kafka", "registry", "clickhouse", "ops"}
	for _, name := range names {
		issue(name)
		write(name+".ca", authority.PEM)
	}
	write("passfile", []byte("*:*:*:*:first\n"))
	read := func() Credentials {
		client := func(name string) string {
			return "tls: {ca: " + name + ".ca, cert: " + name + ".pem, key: " + name + ".key}"
		}
		pg := filepath.Join(dir, "pg")
		c, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(`
source: {url: "postgres://u@h/d?sslmode=verify-full&sslrootcert=`+pg+`.ca&sslcert=`+pg+`.pem&sslkey=`+pg+`.key&passfile=`+filepath.Join(dir, "passfile")+`"}
kafka: {brokers: ["k:9092"], `+client("kafka")+`}
registry: {url: "https://r:8081", `+client("registry")+`}
clickhouse: {url: "clickhouse://c:9000", `+client("clickhouse")+`}
ops: {`+client("ops")+`}
`))
		require.NoError(t, err)
		return ReadCredentials(c)
	}
	was := read()
	changed := func(what string) {
		is := read()
		require.False(t, was.Same(is), what)
		require.True(t, is.Same(read()), what)
		was = is
	}
	require.True(t, was.Same(read()))
	for _, name := range names {
		issue(name)
		changed(name)
	}
	other, err := secure.NewAuthority("other")
	require.NoError(t, err)
	for _, name := range names {
		write(name+".ca", other.PEM)
		changed(name)
	}
	write("passfile", []byte("*:*:*:*:second\n"))
	changed("passfile")
	require.NoError(t, os.Remove(filepath.Join(dir, "kafka.ca")))
	require.False(t, read().Same(read()), "nobody knows")
}
