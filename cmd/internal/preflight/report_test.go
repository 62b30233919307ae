package preflight

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/console"
)

func slugs() []string {
	var out []string
	for _, c := range checks.Groups()[1].Checks {
		out = append(out, c.Slug)
	}
	return out
}

// TestEveryCheckIsExplained: the code's slugs are those of the table, each once, each with everything that a person
// wants to know.
func TestEveryCheckIsExplained(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	used := map[string]bool{}
	for _, part := range []string{partPostgres, partKafka, partRegistry, partClickHouse} {
		used[part+"-encryption"], used[part+"-connect"] = true, true // written with the part's name
	}
	used["postgres-clock"], used["clickhouse-clock"] = true, true
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`"((?:config|postgres|kafka|registry|clickhouse|pipeline)-[a-z-]*[a-z])"`).FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
	}
	all := slugs()
	for _, slug := range all {
		require.True(t, used[slug], "nothing uses %s", slug)
	}
	for slug := range used {
		require.Contains(t, all, slug)
	}
	known := map[string]bool{}
	for _, c := range checks.All() {
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, c.Slug)
		require.False(t, known[c.Slug], c.Slug)
		known[c.Slug] = true
		for _, text := range []string{c.Meaning, c.Safe, c.Do} {
			require.Regexp(t, `^[A-Za-z`+"`"+`].*\.$`, text, c.Slug)
		}
	}
}

// sample has every form a finding can have.
var sample = Report{Checks: []Check{
	{Part: "postgres", Slug: "postgres-version", OK: true, Level: LevelOK, Subject: "server_version", Message: "Postgres 18.4"},
	{Part: "postgres", Slug: "postgres-wal-level", Level: LevelError, Subject: "wal_level", Message: "it is replica and must be logical; it takes a restart of Postgres", Command: "ALTER SYSTEM SET wal_level = logical;"},
	{Part: "postgres", Slug: "postgres-tables", Level: LevelError, Subject: `public.o'd "q"`, Message: "it cannot be captured: it has no primary key", Command: `source: {tables: ["public.*", "!public.o'd \"q\""]}`},
	{Part: "kafka", Slug: "kafka-group-rights", Level: LevelError, Subject: "group dirtbike.clinic.load.clinic", Message: "User:dirtbike lacks Describe, Read",
		Command: "kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:dirtbike --operation Describe --operation Read --group dirtbike.clinic.load.clinic"},
	{Part: "clickhouse", Slug: "clickhouse-rights", Level: LevelError, Subject: "clinic.*", Message: "user dirtbike lacks INSERT", Command: "GRANT INSERT ON clinic.* TO dirtbike;", Try: remedy(granter, "GRANT INSERT ON clinic.* TO dirtbike;")},
	{Part: "clickhouse", Slug: "clickhouse-disk", OK: true, Level: LevelWarning, Subject: "disk default", Message: "only 1 GiB of 20 GiB are free"},
	{Part: "pipeline", Slug: "pipeline-state", Level: LevelError, Subject: "slot dirtbike, prefix clinic", Message: "no broker answers", Command: "see that Kafka runs", away: true},
}}

// TestGolden fixes what people and programs read. A golden is written by hand, or by UPDATE_GOLDEN=1 and read then.
func TestGolden(t *testing.T) {
	var asJSON, asText strings.Builder
	require.NoError(t, console.WriteJSON(&asJSON, sample))
	require.NoError(t, sample.WriteText(&asText))
	for file, got := range map[string]string{"report.json": asJSON.String(), "report.txt": asText.String()} {
		path := filepath.Join("testdata", file)
		if os.Getenv("UPDATE_GOLDEN") == "1" {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got)
	}
	for _, c := range sample.Checks {
		require.True(t, c.Command == "" || slices.Contains(strings.Split(asText.String(), "\n"), c.Command) || kind(c.Command) == "words", "a command has a line of its own: %s", c.Command)
	}
}

// TestUnreachable: only parts that could not be reached, and at least one.
func TestUnreachable(t *testing.T) {
	away, no, fine := Check{away: true, Level: LevelError}, Check{Level: LevelError}, Check{OK: true, Level: LevelWarning}
	for _, c := range []struct {
		checks []Check
		is     bool
	}{{nil, false}, {[]Check{fine}, false}, {[]Check{fine, away}, true}, {[]Check{away, no}, false}, {[]Check{no}, false}} {
		require.Equal(t, c.is, Report{Checks: c.checks}.Unreachable())
	}
	failed, warnings := sample.Counts()
	require.Equal(t, []int{5, 1}, []int{failed, warnings})
}
