package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// hostOf gives host:port of an address.
func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Host
}

func (r *rig) replaceInConfig(was, is string) {
	r.Helper()
	text, err := os.ReadFile(r.config)
	require.NoError(r, err)
	require.Contains(r, string(text), was)
	require.NoError(r, os.WriteFile(r.config, []byte(strings.ReplaceAll(string(text), was, is)), 0o600))
}

// TestBadInput starts a pipeline with each thing that people get wrong: it ends within 15 seconds with one line that
// says what is wrong, one that says what to do, and the right exit code; nothing of it remains.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const secret = "not-the-password"
	for _, test := range []struct {
		name  string
		spoil func(r *rig)
		code  int
		says  string
		try   string
	}{
		{"wrong password", func(r *rig) {
			u, err := url.Parse(r.url)
			require.NoError(r, err)
			u.User = url.UserPassword(u.User.Username(), secret)
			r.replaceInConfig(r.url, u.String())
		}, exitWrong, "password authentication failed", "source.url"},
		{"unreachable Postgres", func(r *rig) { r.replaceInConfig(hostOf(r.T, r.url), embeddedtest.FreeAddress(r)) }, exitUnreachable, "connection refused", "source.url"},
		{"unreachable Kafka", func(r *rig) {
			r.replaceInConfig(r.stack.Kafka.Brokers()[0], embeddedtest.FreeAddress(r))
		}, exitUnreachable, "kafka", "kafka.brokers"},
		{"wal_level", func(r *rig) {}, exitWrong, "wal_level", "ALTER SYSTEM SET wal_level = logical"},
		{"no right to replicate", func(r *rig) { r.role("NOREPLICATION", "SELECT") }, exitWrong, "permission|replication", "REPLICATION"},
		{"no right to read", func(r *rig) { r.role("REPLICATION", "INSERT") }, exitWrong, "permission denied|owner", "GRANT SELECT|owner"},
		{"a table without a key", func(r *rig) { r.exec(`CREATE TABLE keyless (v text)`) }, exitWrong, "public.keyless", "key"},
		{"a publication without a table", func(r *rig) {
			r.role("REPLICATION", "SELECT")
			r.exec(`CREATE TABLE second (id int PRIMARY KEY); GRANT SELECT ON second TO ` + r.name + `_role; CREATE PUBLICATION ` + r.name + ` FOR TABLE ONLY things`)
		}, exitWrong, "must be owner of publication", `ALTER PUBLICATION .*ADD TABLE ONLY "public"."second"`},
		{"too small messages", func(r *rig) {
			small := "1000"
			_, err := r.kafkaAdmin().CreateTopic(r.Context(), 3, 1, map[string]*string{"max.message.bytes": &small, "cleanup.policy": ptr("delete")}, r.name+".public.things")
			require.NoError(r, err)
		}, exitWrong, "max.message.bytes", "kafka-configs.sh .*max.message.bytes"},
		{"an unknown key", func(r *rig) { r.replaceInConfig("slot: ", "slott: ") }, exitWrong, `dirtbike.yaml:1:\d+: .*slott`, "slot"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := rigOptions{}
			if test.name == "wal_level" {
				o.postgres, o.settings = "18", map[string]string{"wal_level": "replica"}
			}
			r := newRig(t, o, smallSchema)
			test.spoil(r)
			began := time.Now()
			l := r.start("run")
			r.ends(l, 15*time.Second)
			t.Logf("ended after %s", time.Since(began).Round(10*time.Millisecond))
			require.Equal(t, test.code, l.cmd.ProcessState.ExitCode(), l.output())
			said := errorOf(t, l.output())
			require.Regexp(t, test.says, said[0])
			require.Regexp(t, test.try, said[1])
			require.NotContains(t, l.output(), secret)
			require.NotContains(t, l.output(), "goroutine ")
			var slots int
			require.NoError(t, r.pg().QueryRow(t.Context(), `SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1`, r.name).Scan(&slots))
			require.Zero(t, slots)
		})
	}
}

func ptr(s string) *string { return &s }

// errorOf gives the error's line and that of the way out, which are the last ones.
func errorOf(t *testing.T, output string) [2]string {
	t.Helper()
	at := strings.LastIndex(output, "\nError: ")
	require.GreaterOrEqual(t, max(at, strings.Index(output, "Error: ")), 0, output)
	lines := strings.Split(strings.TrimSpace(output[max(at, 0):]), "\n")
	require.Len(t, lines, 2, output)
	require.True(t, strings.HasPrefix(lines[1], "Try"), output)
	return [2]string{lines[0], lines[1]}
}

// role makes one that has only what is said, and puts it into the config.
func (r *rig) role(option, right string) {
	r.Helper()
	name := r.name + "_role"
	r.exec(fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD 'pw' %s; GRANT %s ON ALL TABLES IN SCHEMA public TO %s`, name, option, right, name))
	u, err := url.Parse(r.url)
	require.NoError(r, err)
	u.User = url.UserPassword(name, "pw")
	r.replaceInConfig(r.url, u.String())
}
