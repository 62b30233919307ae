package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/docker/embedded/secure"
)

// settings are those of a config for the secured stack, each of which a test may spoil.
type settings struct {
	sourceHost, sourceParams, sourcePassword      string
	broker, mechanism, kafkaPassword, kafkaTLS    string
	registry, registryPassword, registryTLS       string
	clickHouse, clickHousePassword, clickHouseTLS string
}

func rightSettings(s *secure.Stack) settings {
	trust := ", tls: {ca: \"" + s.CA + "\"}"
	return settings{
		sourceHost: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Postgres.Port())), sourceParams: "sslmode=verify-full&sslrootcert=" + s.CA, sourcePassword: testPassword,
		broker: s.Kafka.SecureBrokers()[0], mechanism: "SCRAM-SHA-512", kafkaPassword: testPassword, kafkaTLS: trust,
		registry: s.RegistryFront.Addr(), registryPassword: testPassword, registryTLS: trust,
		clickHouse: s.ClickHouseFront.Addr(), clickHousePassword: testPassword, clickHouseTLS: trust,
	}
}

func (s settings) config(t *testing.T) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), fmt.Appendf(nil, `
source: {url: "postgres://dirtbike:%s@%s/postgres?%s"}
kafka: {brokers: ["%s"], sasl: {mechanism: %s, user: dirtbike, password: %s}%s}
registry: {url: "https://%s", user: dirtbike, password: %s%s}
clickhouse: {url: "clickhouse://dirtbike:%s@%s"%s}
`, s.sourcePassword, s.sourceHost, s.sourceParams, s.broker, s.mechanism, s.kafkaPassword, s.kafkaTLS, s.registry, s.registryPassword, s.registryTLS,
		s.clickHousePassword, s.clickHouse, s.clickHouseTLS))
	require.NoError(t, err)
	return c
}

var allParts = Parts{Postgres: true, Kafka: true, Registry: true, ClickHouse: true}

// TestLogin logs in to real listeners over TLS: Postgres, Apache Kafka with every mechanism, and fronts of the registry
// and of ClickHouse.
func TestLogin(t *testing.T) {
	right := rightSettings(stack.Get(t))
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		right.mechanism = mechanism
		c := right.config(t)
		require.NoError(t, Login(t.Context(), c, allParts), mechanism)
		state, err := storedState(t.Context(), c, zap.NewNop())
		require.NoError(t, err, mechanism)
		require.Nil(t, state)
	}
}

// TestLoginAway: a part that does not answer is distinguished from one that refuses, since waiting may help.
func TestLoginAway(t *testing.T) {
	s := stack.Get(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := l.Addr().String()
	require.NoError(t, l.Close())
	for name, c := range map[string]struct {
		spoil func(*settings)
		says  []string
	}{
		"postgres":   {func(s *settings) { s.sourceHost = gone }, []string{"connect to Postgres at " + gone, "source.url"}},
		"kafka":      {func(s *settings) { s.broker = gone }, []string{"log in to Kafka", "connection refused", "kafka.brokers"}},
		"registry":   {func(s *settings) { s.registry = gone }, []string{"the registry cannot be reached", "registry.url"}},
		"clickhouse": {func(s *settings) { s.clickHouse = gone }, []string{"log in to ClickHouse", "connection refused", "clickhouse.url"}},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := rightSettings(s)
			c.spoil(&spoilt)
			began := time.Now()
			err := Login(t.Context(), spoilt.config(t), allParts)
			require.ErrorIs(t, err, cdc.ErrUnreachable)
			require.NotErrorIs(t, err, cdc.ErrRefused)
			requireLine(t, err, c.says...)
			require.Less(t, time.Since(began), 15*time.Second)
		})
	}
}

// localhost is the host by a name that no certificate has.
func localhost(address string) string { return strings.Replace(address, "127.0.0.1", "localhost", 1) }

// TestLoginRefused: what a person has to fix is reported in one line, with the part, what to do, and no secret, within
// seconds.
func TestLoginRefused(t *testing.T) {
	s := stack.Get(t)
	other, err := secure.NewAuthority("somebody else")
	require.NoError(t, err)
	stranger := filepath.Join(t.TempDir(), "stranger.pem")
	require.NoError(t, os.WriteFile(stranger, other.PEM, 0o600))
	notPEM := filepath.Join(t.TempDir(), "not.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("no certificate"), 0o600))
	distrust := ", tls: {ca: \"" + stranger + "\"}"
	const wrong = "hunter2wrong"
	for name, c := range map[string]struct {
		spoil func(*settings)
		says  []string
	}{
		"postgres, password":    {func(s *settings) { s.sourcePassword = wrong }, []string{"connect to Postgres at 127.0.0.1", "password authentication failed", "Try: check user and password in source.url"}},
		"postgres, authority":   {func(s *settings) { s.sourceParams = "sslmode=verify-full&sslrootcert=" + stranger }, []string{"connect to Postgres at 127.0.0.1", "x509: certificate signed by unknown authority", "Try: give sslrootcert in source.url"}},
		"postgres, system":      {func(s *settings) { s.sourceParams = "sslmode=verify-full" }, []string{"unknown authority", "Try: give sslrootcert in source.url"}},
		"postgres, host":        {func(s *settings) { s.sourceHost = localhost(s.sourceHost) }, []string{"connect to Postgres at localhost", "x509: ", "Try: name the host in source.url"}},
		"postgres, no file":     {func(s *settings) { s.sourceParams = "sslmode=verify-full&sslrootcert=/none.pem" }, []string{"open /none.pem: no such file", "Try: an absolute path"}},
		"postgres, no PEM":      {func(s *settings) { s.sourceParams = "sslmode=verify-full&sslrootcert=" + notPEM }, []string{"sslrootcert in source.url", "Try: "}},
		"postgres, device":      {func(s *settings) { s.sourceParams = "sslmode=verify-full&sslrootcert=/dev/null" }, []string{"sslrootcert of source.url", "Try: a regular file"}},
		"postgres, mode":        {func(s *settings) { s.sourceParams = "sslmode=very" }, []string{"unknown sslmode", "Try: sslmode=verify-full"}},
		"postgres, plain":       {func(s *settings) { s.sourceParams = "sslmode=disable" }, []string{"connect to Postgres", "no encryption", "Try: sslmode=verify-full in source.url"}},
		"kafka, PLAIN":          {func(s *settings) { s.kafkaPassword, s.mechanism = wrong, "PLAIN" }, []string{"Kafka", "SASL_AUTHENTICATION_FAILED", "kafka.sasl"}},
		"kafka, SCRAM-SHA-256":  {func(s *settings) { s.kafkaPassword, s.mechanism = wrong, "SCRAM-SHA-256" }, []string{"Kafka", "SASL_AUTHENTICATION_FAILED", "kafka.sasl"}},
		"kafka, SCRAM-SHA-512":  {func(s *settings) { s.kafkaPassword = wrong }, []string{"Kafka", "SASL_AUTHENTICATION_FAILED", "kafka.sasl"}},
		"kafka, authority":      {func(s *settings) { s.kafkaTLS = distrust }, []string{"Kafka", "x509: certificate signed by unknown authority", "Try: give kafka.tls.ca"}},
		"kafka, host":           {func(s *settings) { s.broker = localhost(s.broker) }, []string{"Kafka", "x509: ", "Try: name the host in kafka.brokers"}},
		"kafka, no TLS there":   {func(c *settings) { c.broker = s.Kafka.Brokers()[0] }, []string{"Kafka", "Try: "}},
		"registry, password":    {func(s *settings) { s.registryPassword = wrong }, []string{"the registry refuses us (401)", "check registry.user and registry.password"}},
		"registry, authority":   {func(s *settings) { s.registryTLS = distrust }, []string{"connect to the registry at https://127.0.0.1", "x509: certificate signed by unknown authority", "Try: give registry.tls.ca"}},
		"registry, host":        {func(s *settings) { s.registry = localhost(s.registry) }, []string{"x509: ", "Try: name the host in registry.url"}},
		"clickhouse, password":  {func(s *settings) { s.clickHousePassword = wrong }, []string{"ClickHouse refuses the login of clickhouse.url", "Try: check its user and password"}},
		"clickhouse, authority": {func(s *settings) { s.clickHouseTLS = distrust }, []string{"connect to ClickHouse", "x509: certificate signed by unknown authority", "Try: give clickhouse.tls.ca"}},
		"clickhouse, host":      {func(s *settings) { s.clickHouse = localhost(s.clickHouse) }, []string{"connect to ClickHouse", "x509: ", "Try: name the host in clickhouse.url"}},
		"clickhouse, no TLS there": {func(c *settings) {
			c.clickHouse = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ClickHouse.Port()))
		}, []string{"ClickHouse", "Try: "}},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := rightSettings(s)
			c.spoil(&spoilt)
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			err := Login(ctx, spoilt.config(t), allParts)
			require.NoError(t, ctx.Err())
			t.Log(err)
			if strings.HasSuffix(name, "no TLS there") { // who does not speak TLS may be a part that starts
				require.True(t, errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrUnreachable), err)
			} else {
				require.ErrorIs(t, err, cdc.ErrRefused)
			}
			requireLine(t, err, c.says...)
		})
	}
}

// requireLine holds an error to what an operator needs: one line, one way out, what is said of the part, and no secret.
func requireLine(t *testing.T, err error, says ...string) {
	t.Helper()
	require.Error(t, err)
	text := err.Error() // what the verb prints
	for _, want := range says {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "hunter2")
	require.NotContains(t, text, "\n")
	require.Len(t, cdc.Explain(err).Try, 1, text)
}
