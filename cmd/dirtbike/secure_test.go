package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/secure"
)

// TestSecureConnections runs a pipeline all of whose connections are encrypted, verified and logged in: Postgres with
// verify-full, Apache Kafka with SASL_SSL, registry and ClickHouse with fronts, the endpoints with https and a token.
// Rows arrive, and verify says so. A start with a wrong login or authority ends within seconds and says which, and the
// pipeline that runs does not notice.
func TestSecureConnections(t *testing.T) {
	r := newSecureRig(t, `["public.*"]`, smallSchema)
	refused := r.secure.ClickHouseFront.Refused() + r.secure.RegistryFront.Refused()
	l := r.start("run")
	r.wait()
	r.exec(`INSERT INTO things SELECT g, 'later' FROM generate_series(1000, 1999) g; UPDATE things SET v = 'new' WHERE id = 7; DELETE FROM things WHERE id = 8`)
	r.wait()
	r.equalAll()
	t.Run("verbs", func(t *testing.T) {
		code, out, errs := r.verb("verify")
		require.Zero(t, code, errs)
		require.Regexp(t, `│ public.things +│ +1,099 │ +1,099 │ +0 │ yes`, out)
		code, _, errs = r.verb("status")
		require.Zero(t, code, errs)
	})
	t.Run("endpoints", func(t *testing.T) {
		const token = firstToken
		for _, path := range []string{"/readyz", "/status", "/metrics"} {
			code, body := r.ask(path, "")
			require.Equal(t, 401, code)
			require.Equal(t, "the token of ops.token is needed. Try: curl -H \"Authorization: Bearer $OPS_TOKEN\"; /livez needs none\n", body)
			code, _ = r.ask(path, token+"s")
			require.Equal(t, 401, code)
			require.Eventually(t, func() bool { code, body = r.ask(path, token); return code == 200 }, 20*time.Second, 100*time.Millisecond, path)
		}
		code, _ := r.ask("/livez", "")
		require.Equal(t, 200, code)
	})
	t.Run("every connection", func(t *testing.T) {
		var all, streams, plain int
		require.NoError(t, r.pg().QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE backend_type = 'walsender'), count(*) FILTER (WHERE NOT ssl)
			FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = $1`, secure.User).Scan(&all, &streams, &plain))
		require.GreaterOrEqual(t, all, 2)
		require.Equal(t, 1, streams)
		require.Zero(t, plain)
		require.GreaterOrEqual(t, r.secure.ClickHouseFront.Sessions(), 4)
		require.Equal(t, refused, r.secure.ClickHouseFront.Refused()+r.secure.RegistryFront.Refused())
	})
	t.Run("mistakes", func(t *testing.T) { r.mistakes() })
	r.exec(`INSERT INTO things VALUES (5000, 'last')`)
	r.wait()
	require.True(t, l.running(), l.output())
	r.equalAll()
	l.stop()
	require.NotContains(t, l.output(), firstPassword)
}

func (r *secureRig) mistakes() {
	r.Helper()
	other, err := secure.NewAuthority("another authority")
	require.NoError(r, err)
	r.file("stranger.pem", string(other.PEM))
	stranger := filepath.Join(r.dir, "stranger.pem")
	r.file("wrong.password", "hunter2wrong")
	for _, c := range []struct{ verb, was, is, says string }{
		{"run", "${file:pg.password}", "${file:wrong.password}", "password authentication failed"},
		{"run", "${file:kafka.password}", "${file:wrong.password}", "SASL_AUTHENTICATION_FAILED"},
		{"load", "${file:kafka.password}", "${file:wrong.password}", "SASL_AUTHENTICATION_FAILED"},
		{"capture", "${file:registry.password}", "${file:wrong.password}", "the registry refuses us (401)"},
		{"load", "${file:registry.password}", "${file:wrong.password}", "the registry refuses us (401)"},
		{"load", "${file:clickhouse.password}", "${file:wrong.password}", "ClickHouse refuses the login of clickhouse.url"},
		{"capture", "sslrootcert=" + r.secure.CA, "sslrootcert=" + stranger, "Try: give sslrootcert in source.url"},
		{"run", `partitions: 3, tls: {ca: "` + r.secure.CA, `partitions: 3, tls: {ca: "` + stranger, "Try: give kafka.tls.ca"},
		{"load", `registry.password}", tls: {ca: "` + r.secure.CA, `registry.password}", tls: {ca: "` + stranger, "Try: give registry.tls.ca"},
		{"run", "database: " + r.name + `, tls: {ca: "` + r.secure.CA, "database: " + r.name + `, tls: {ca: "` + stranger, "Try: give clickhouse.tls.ca"},
	} {
		second := r.mistaken(c.verb, c.was, c.is)
		r.ends(second, 15*time.Second)
		out := second.output()
		require.Equal(r, exitWrong, second.cmd.ProcessState.ExitCode(), "%s: %s", c.is, out)
		said := out[strings.Index(out, "Error: "):]
		require.Contains(r, said, c.says)
		require.Equal(r, 2, strings.Count(said, "\n"), said) // what, and its way out
		require.Contains(r, said, "\nTry: ")
		require.NotContains(r, out, "hunter2")
	}
}

// mistaken starts a verb while the pipeline runs, with one thing wrong in its config.
func (r *secureRig) mistaken(verb, was, is string) *process {
	r.Helper()
	other := *r.rig // the same pipeline, with a config and an address of its own
	text, err := os.ReadFile(r.rig.config)
	require.NoError(r, err)
	require.Contains(r, string(text), was)
	other.config = r.rig.config + ".mistaken"
	other.ports = map[string]string{}
	require.NoError(r, os.WriteFile(other.config, []byte(strings.Replace(string(text), was, is, 1)), 0o600))
	return other.start(verb)
}

// TestListenBeyondLoopback: endpoints that other hosts reach are not served without a token.
func TestListenBeyondLoopback(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dirtbike.yaml")
	for _, c := range []struct {
		ops  string
		args []string
	}{{"{}", []string{"--listen", "0.0.0.0:0"}}, {"{}", []string{"--listen", ":0"}}, {`{listen: "0.0.0.0:8085"}`, nil}} {
		require.NoError(t, os.WriteFile(path, []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
ops: `+c.ops), 0o600))
		for _, verb := range []string{"run", "capture", "load"} {
			var out, errs bytes.Buffer
			require.Equal(t, exitWrong, execute(t.Context(), append([]string{verb, "--config", path}, c.args...), &out, &errs, nil))
			require.Empty(t, out.String())
			require.Contains(t, errs.String(), ": other hosts reach ")
			require.Contains(t, errs.String(), "\nTry: ops.token: ")
			require.Equal(t, 2, strings.Count(errs.String(), "\n"), errs.String())
		}
	}
}

// TestExposedConnectionsAreLogged: each start warns of every connection that others could read, not check alone.
func TestExposedConnectionsAreLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dirtbike.yaml")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		postgres, kafka, registry, clickhouse string
		parts                                 []string
	}{
		{"postgres://u@db.invalid/d", `{brokers: ["kafka.invalid:9092"]}`, "http://registry.invalid", `{url: "clickhouse://ch.invalid:9000"}`,
			[]string{"source.url", "kafka.tls", "registry.url", "clickhouse.tls"}},
		{"postgres://u@db.invalid/d?sslmode=require", `{brokers: ["kafka.invalid:9092"], tls: {}}`, "https://registry.invalid", `{url: "clickhouse://ch.invalid:9000?secure=true&skip_verify=true"}`,
			[]string{"source.url", "clickhouse.tls"}},
		{"postgres://u@db.invalid/d?sslmode=verify-full", `{brokers: ["kafka.invalid:9092"], tls: {}}`, "https://registry.invalid", `{url: "clickhouse://ch.invalid:9000", tls: {}}`, nil},
	} {
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "source: {url: %q}\nkafka: %s\nregistry: {url: %q}\nclickhouse: %s\n", c.postgres, c.kafka, c.registry, c.clickhouse), 0o600))
		for _, verb := range []string{"run", "capture", "load"} {
			var out, errs bytes.Buffer
			require.Equal(t, exitGood, execute(ended, []string{verb, "--config", path, "--log-format", "json", "--listen", "127.0.0.1:0"}, &out, &errs, nil), "%s", &errs)
			var warned []string
			for line := range strings.Lines(errs.String()) {
				if strings.Contains(line, `"level":"warn"`) {
					warned = append(warned, line)
				}
			}
			require.Len(t, warned, len(c.parts), "%s: %s", verb, &errs)
			for i, part := range c.parts {
				require.Contains(t, warned[i], part)
				require.Contains(t, warned[i], "Try: ")
			}
		}
	}
}
