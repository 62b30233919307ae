package main

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/oracle"
)

// The documents whose commands, statements and tables the tests of this package run.
const (
	readmeFile     = "../../README.md"
	operationsFile = "OPERATIONS.md"
	viewsFile      = "../../sinks/clickhouse/VIEWS.md"
)

func documentText(t require.TestingT, path string) string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// documentBlocks gives the blocks of a kind.
func documentBlocks(document, kind string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(document, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// documentBlock gives the one block of a kind that holds a text.
func documentBlock(t require.TestingT, document, kind, holds string) string {
	var found []string
	for _, block := range documentBlocks(document, kind) {
		if strings.Contains(block, holds) {
			found = append(found, block)
		}
	}
	require.Len(t, found, 1, "blocks of kind %s with %q", kind, holds)
	return found[0]
}

// TestReadmeCommands runs the README's five commands for a database of one's own, as they are written, from an empty
// folder until every row is equal. Only the addresses are this stack's: that of the database in the first command, the
// others where the draft says CHANGE.
func TestReadmeCommands(t *testing.T) {
	commands := strings.Split(strings.TrimSpace(documentBlock(t, documentText(t, readmeFile), "sh", "./dirtbike init")), "\n")
	require.Len(t, commands, 5)
	r := newRig(t, rigOptions{}, `CREATE TABLE patients (id int PRIMARY KEY, name text, ssn text, paid numeric(12,2));
		INSERT INTO patients SELECT g, 'n' || g, 's' || g, g FROM generate_series(1, 1000) g; CREATE TABLE unkeyed (a int)`)
	server, err := url.Parse(r.url)
	require.NoError(t, err)
	password, _ := server.User.Password()
	server.User = url.User(server.User.Username())
	t.Setenv("PGPASSWORD", password)
	r.config = filepath.Join(t.TempDir(), "dirtbike.yaml")
	t.Chdir(filepath.Dir(r.config))
	for i, command := range commands {
		verb, found := strings.CutPrefix(command, "./dirtbike ")
		require.True(t, found, command)
		if verb == "run" {
			r.start(verb)
			r.exec("UPDATE patients SET paid = paid + 1 WHERE id % 2 = 0; DELETE FROM patients WHERE id > 900")
			continue
		}
		var out bytes.Buffer
		args := strings.Fields(strings.Replace(verb, "postgres://dirtbike@db:5432/clinic", server.String(), 1))
		require.Equal(t, exitGood, execute(t.Context(), args, &out, &out, nil), "%s: %s", command, out.String())
		if i == 0 {
			r.fillIn()
		}
	}
	r.equal(oracle.Options{Skip: []string{"public.unkeyed"}})
}

// fillIn does to a draft what init asks for: it replaces the addresses marked CHANGE, and lets the policies keep every
// column.
func (r *rig) fillIn() {
	r.Helper()
	text := documentText(r, r.config)
	sink, err := url.Parse(r.stack.ClickHouse.URL())
	require.NoError(r, err)
	password, _ := sink.User.Password()
	r.Setenv("CLICKHOUSE_PASSWORD", password)
	for old, now := range map[string]string{
		`["kafka:9092"] # CHANGE`:         `["` + strings.Join(r.stack.Kafka.Brokers(), `", "`) + `"]`,
		`"http://registry:8081" # CHANGE`: `"` + r.stack.Registry.URL() + `"`,
		"clickhouse://dirtbike:":          "clickhouse://" + sink.User.Username() + ":",
		`@ch:9000" # CHANGE`:              "@" + sink.Host + `"`,
	} {
		require.Equal(r, 1, strings.Count(text, old), old)
		text = strings.Replace(text, old, now, 1)
	}
	text = regexp.MustCompile(`(?m)^(      ".*": )(drop|mask|hash|zip3|year)\b`).ReplaceAllString(text, "${1}keep")
	require.NotContains(r, text, " # CHANGE")
	require.NoError(r, os.WriteFile(r.config, []byte(text), 0o600))
}
