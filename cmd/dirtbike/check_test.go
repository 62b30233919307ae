package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cmd/internal/inventory"
	"dirtbike/cmd/internal/preflight"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestCheckVerb: exit codes and what is said of each bad input, within 15 seconds. What each printed command fixes is
// tested in cmd/internal/preflight.
func TestCheckVerb(t *testing.T) {
	r := newRig(t, rigOptions{}, `CREATE TABLE claims (id int PRIMARY KEY, v text)`)
	role := r.name + "_weak"
	r.exec(fmt.Sprintf(`CREATE ROLE %[1]s LOGIN REPLICATION PASSWORD 'secret'; CREATE PUBLICATION %[2]s FOR TABLE ONLY claims`, role, r.name))
	defer func() { r.exec(fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role)) }() // other tests use the server
	report := r.checks(exitGood)
	require.True(t, report.OK)
	weak, err := url.Parse(r.url)
	require.NoError(t, err)
	weak.User = url.UserPassword(role, "secret")
	wrongPassword, nobody := *weak, *weak
	wrongPassword.User, nobody.Host = url.UserPassword(role, "secretly"), embeddedtest.FreeAddress(t)
	for _, c := range []struct {
		name, from, to, slug string
		code                 int
		sql                  string
	}{
		{"wrong password", r.url, wrongPassword.String(), "postgres-connect", exitNo, ""},
		{"unreachable host", r.url, nobody.String(), "postgres-connect", exitUnreachable, ""},
		{"missing privilege", r.url, weak.String(), "postgres-select", exitNo, ""},
		{"table without key", "", "", "postgres-tables", exitNo, "CREATE TABLE unkeyed (a int)"},
		{"table not in the publication", r.url, weak.String(), "postgres-publication", exitNo, "DROP TABLE unkeyed; CREATE TABLE late (id int PRIMARY KEY)"},
		{"broker away", strings.Join(r.stack.Kafka.Brokers(), ""), embeddedtest.FreeAddress(t), "kafka-connect", exitUnreachable, ""},
		{"registry away", r.stack.Registry.URL(), "http://" + embeddedtest.FreeAddress(t), "registry-connect", exitUnreachable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.sql != "" {
				r.exec(c.sql)
			}
			r.writeConfig()
			if c.from != "" {
				r.replace(c.from, c.to)
			}
			began := time.Now()
			report := r.checks(c.code)
			require.Less(t, time.Since(began), 15*time.Second)
			require.NotEmpty(t, failedCheck(report, c.slug).Command)
		})
	}
	r.writeConfig()
	r.replace("partitions: 3", "partitons: 3")
	code, out, errs := r.verb("check")
	require.Equal(t, exitWrong, code)
	require.Empty(t, out)
	require.Contains(t, errs, `kafka.partitons: unknown key.`+"\n"+`Try: partitions`)
	r.writeConfig()
	r.smallTopic()
	require.Contains(t, failedCheck(r.checks(exitNo), "kafka-message-size").Command, "--add-config max.message.bytes=16000000")
}

// replace puts one text into the config in place of another.
func (r *rig) replace(from, to string) {
	r.Helper()
	text, err := os.ReadFile(r.config)
	require.NoError(r, err)
	require.Contains(r, string(text), from)
	require.NoError(r, os.WriteFile(r.config, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

// smallTopic makes the table's topic with less room than the config wants.
func (r *rig) smallTopic() {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...))
	require.NoError(r, err)
	defer client.Close()
	limit := "100000"
	_, err = kadm.NewClient(client).CreateTopic(r.Context(), 3, 1, map[string]*string{"max.message.bytes": &limit}, r.name+".public.claims")
	require.NoError(r, err)
}

// checks runs the verb in both forms, and gives its report.
func (r *rig) checks(code int) (report preflight.Report) {
	r.Helper()
	got, out, errs := r.verb("check", "--json")
	require.Equal(r, code, got, "%s%s", out, errs)
	require.NoError(r, json.Unmarshal([]byte(out), &report))
	require.NotContains(r, out+errs, "secret")
	got, out, errs = r.verb("check")
	require.Equal(r, code, got, "%s%s", out, errs)
	if code != exitGood {
		require.Contains(r, out, "✗")
		require.Regexp(r, `^Error: .*\nTry: .*\n$`, errs)
	}
	return report
}

func failedCheck(r preflight.Report, slug string) preflight.Check {
	for _, c := range r.Checks {
		if c.Slug == slug && !c.OK {
			return c
		}
	}
	return preflight.Check{}
}

// TestInitVerb: what is written, what is refused, and that check reads it.
func TestInitVerb(t *testing.T) {
	r := newRig(t, rigOptions{}, `CREATE TABLE patients (id int PRIMARY KEY, ssn text, name text); CREATE TABLE unkeyed (a int)`)
	out := filepath.Join(t.TempDir(), "dirtbike.yaml")
	run := func(args ...string) (code int, said string) {
		var both bytes.Buffer
		code = execute(t.Context(), append([]string{"init"}, args...), &both, &both, nil)
		return code, both.String()
	}
	server, err := url.Parse(r.url)
	require.NoError(t, err)
	password, _ := server.User.Password()
	code, said := run("--source", r.url, "--out", out)
	require.Equal(t, exitGood, code, said)
	require.Contains(t, said, "public.unkeyed")
	require.Contains(t, said, "The password was not written")
	require.Contains(t, said, "Next: dirtbike check --config "+out)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NotContains(t, string(text)+said, password)
	require.Contains(t, string(text), `"ssn": drop`)

	t.Setenv("PGPASSWORD", password)
	t.Setenv("CLICKHOUSE_PASSWORD", "x")
	var listed, both bytes.Buffer // the draft is the allowlist that it says it is
	require.Equal(t, exitGood, execute(t.Context(), []string{"inventory", "--config", out, "--json"}, &listed, &both, nil), &both)
	var leaves inventory.Inventory
	require.NoError(t, json.Unmarshal(listed.Bytes(), &leaves))
	require.Zero(t, leaves.OpenColumns())
	require.Contains(t, leaving(leaves, "public.patients"), "id")
	require.NotContains(t, leaving(leaves, "public.patients"), "ssn")
	both.Reset()
	require.Equal(t, exitUnreachable, execute(t.Context(), []string{"check", "--config", out, "--json"}, &both, &both, nil), "the draft's addresses lead nowhere")

	t.Chdir(t.TempDir())
	var draft, people bytes.Buffer // a stream has the draft and nothing else
	require.Equal(t, exitGood, execute(t.Context(), []string{"init", "--source", r.url, "--out", "-"}, &draft, &people, nil), "%s", &people)
	require.Equal(t, string(text), draft.String())
	require.Contains(t, people.String(), "Wrote the draft to standard output")
	require.NoFileExists(t, "-")

	code, said = run("--source", r.url, "--out", out)
	require.Equal(t, exitWrong, code)
	require.Contains(t, said, "is there already")
	code, _ = run("--source", r.url, "--out", out, "--force")
	require.Equal(t, exitGood, code)
	code, said = run("--source", r.url, "--out", filepath.Join(out, "x"))
	require.Equal(t, exitWrong, code)
	_, way, _ := strings.Cut(said, "\nTry: ")
	require.Equal(t, "--out FILE\n", way, said)
	code, said = run(append([]string{"--source", r.url}, strings.Fields(way)...)...)
	require.Equal(t, exitGood, code, said)
	server.User = url.UserPassword("nobody", "secret")
	server.Host = embeddedtest.FreeAddress(t)
	unreachable := server.String()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitWrong, "--source is missing.\nTry: dirtbike init --source"},
		{[]string{"--source", "mysql://h/d"}, exitWrong, "Try: postgres://user@host:5432/database"},
		{[]string{"--source", unreachable}, exitUnreachable, "Try: see that Postgres runs and --source is right"},
		{[]string{"--source", strings.Replace(r.url, password, "secret", 1)}, exitWrong, "Try: check user and password"},
		{[]string{"--source", strings.Replace(r.url, r.name, "none", 1)}, exitWrong, "Try: check the database"},
	} {
		began := time.Now()
		code, said := run(append(c.args, "--out", out+".new")...)
		require.Equal(t, c.code, code, said)
		require.Contains(t, said, c.says)
		require.NotContains(t, said, "secret@")
		require.Less(t, time.Since(began), 15*time.Second)
		require.NoFileExists(t, out+".new")
	}
}

// leaving are the columns of a table of which something leaves.
func leaving(i inventory.Inventory, table string) (names []string) {
	for _, t := range i.Tables {
		for _, c := range t.Columns {
			if t.Table == table && c.Leaves {
				names = append(names, c.Column)
			}
		}
	}
	return names
}
