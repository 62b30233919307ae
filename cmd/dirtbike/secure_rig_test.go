package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/embedded/secure"
)

// firstPassword is the one that the secured stack starts with.
const firstPassword = "hunter2first"

// secureStack is one for all tests: Kafka takes its password with it when it is made. Each test sets the passwords it
// begins with.
var secureStack = embeddedtest.Share(true, func(ctx context.Context, dir string) (*secure.Stack, error) {
	return secure.Start(ctx, dir, firstPassword)
})

// secureRig is a pipeline all of whose connections are encrypted and log in. Its credentials are in files in the
// config's folder.
type secureRig struct {
	*rig
	secure *secure.Stack
	client *http.Client
	// counted is how many reloads a test has seen, by result
	counted map[string]int
}

func newSecureRig(t *testing.T, tables, schema string) *secureRig {
	t.Helper()
	s, name := secureStack.Get(t), fmt.Sprintf("s%d", rigs.Add(1))
	r := &secureRig{secure: s, counted: map[string]int{}, rig: &rig{T: t, stack: s.Stack, dir: t.TempDir(), name: name, ports: map[string]string{}}}
	r.rig.config = filepath.Join(r.dir, "dirtbike.yaml")
	require.NoError(t, s.Postgres.CreateDatabase(t.Context(), name))
	r.url = s.Postgres.DatabaseURL(name)
	r.exec(schema)
	certificate, err := s.Authority.Issue("127.0.0.1")
	require.NoError(t, err)
	r.file("ops.pem", string(certificate.Cert))
	r.file("ops.key", string(certificate.Key))
	r.file("ops.token", firstToken)
	r.passwords(firstPassword)
	r.setPasswords(firstPassword)
	r.file("dirtbike.yaml", r.text(tables))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(s.Authority.PEM))
	r.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(r.cleanup)
	return r
}

func (r *secureRig) text(tables string) string {
	return fmt.Sprintf(`source: {url: "postgres://dirtbike:${file:pg.password}@127.0.0.1:%d/%s?sslmode=verify-full&sslrootcert=%s", tables: %[7]s, slot: %[2]s, publication: %[2]s}
kafka: {brokers: ["%[4]s"], prefix: %[2]s, partitions: 3, tls: {ca: "%[3]s"}, sasl: {mechanism: SCRAM-SHA-512, user: dirtbike, password: "${file:kafka.password}"}}
registry: {url: "https://%[5]s", user: dirtbike, password: "${file:registry.password}", tls: {ca: "%[3]s"}}
clickhouse: {url: "clickhouse://dirtbike:${file:clickhouse.password}@%[6]s", database: %[2]s, tls: {ca: "%[3]s"}, load: {flush_interval: 100ms}}
ops: {token: "${file:ops.token}", tls: {cert: ops.pem, key: ops.key}}
`, r.secure.Postgres.Port(), r.name, r.secure.CA, r.secure.Kafka.SecureBrokers()[0], r.secure.RegistryFront.Addr(), r.secure.ClickHouseFront.Addr(), tables)
}

func (r *secureRig) file(name, content string) {
	r.Helper()
	require.NoError(r, os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600))
}

// passwords writes the files that the config refers to.
func (r *secureRig) passwords(password string) {
	r.Helper()
	for _, part := range []string{"pg", "kafka", "registry", "clickhouse"} {
		r.file(part+".password", password)
	}
}

// setPasswords changes the password of the only user at every part: who comes with another one is refused from then on.
func (r *secureRig) setPasswords(password string) {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...))
	require.NoError(r, err)
	defer client.Close()
	changed, err := kadm.NewClient(client).AlterUserSCRAMs(r.Context(), nil, []kadm.UpsertSCRAM{
		{User: secure.User, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password},
	})
	require.NoError(r, err)
	require.NoError(r, changed.Error())
	require.NoError(r, r.secure.SetPostgresPassword(r.Context(), password))
	r.secure.RegistryFront.SetLogin(secure.User, password)
	r.secure.ClickHouseFront.SetLogin(secure.User, password)
}

// ask asks an endpoint over https, with a token unless it is empty.
func (r *secureRig) ask(path, token string) (int, string) {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "https://"+r.listens("run")+path, nil)
	require.NoError(r, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close() // it is read only
	body, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	return response.StatusCode, string(body)
}
