package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// typed runs one command line in this process, and gives its exit code, what it says, and its way out.
func typed(ctx context.Context, args ...string) (code int, said, way string) {
	var out bytes.Buffer
	code = execute(ctx, args, &out, &out, nil)
	_, way, _ = strings.Cut(out.String(), "\nTry: ")
	return code, out.String(), strings.TrimSuffix(way, "\n")
}

// instead is a command line with a flag in place of the same one.
func instead(words, flag []string) []string {
	if at := slices.Index(words, flag[0]); at >= 0 {
		words = slices.Delete(slices.Clone(words), at, at+2)
	}
	return append(slices.Clone(words), flag...)
}

// TestWaysOutOfCommandLinesAreTaken types what a refused command line says, whole commands as they are and flags after
// what was typed before. What would start something is refused later, for another reason that is typed, too.
func TestWaysOutOfCommandLinesAreTaken(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	good := filepath.Join(dir, "there.yaml")
	require.NoError(t, os.WriteFile(good, []byte("mine"), 0o600))
	require.NoError(t, os.WriteFile("old-dirtbike", []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.WriteFile("good.yaml", []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}`), 0o600))
	const (
		noEngines = "--kafka redpanda"
		config    = "--config FILE; dirtbike explain config shows every key"
	)
	flags := regexp.MustCompile(`--[a-z-]+(?: [^-,; ]\S*?)?(?:,? or |,? then |[,;] |$)`)
	for _, c := range []struct {
		typed, fault, says string
		later              string // what is refused afterwards; empty if all is well
	}{
		{"verfy", "is no verb", "dirtbike --help", ""},
		{"verify --nonsense", "unknown flag", "dirtbike verify --help", ""},
		{"run foo", "unknown command", "dirtbike run --help", ""},
		{"purge", "accepts 1 arg", "dirtbike purge --help", ""},
		{"explain", "takes one name", "dirtbike explain all", ""},
		{"explain slot kafka", "takes one name", "dirtbike explain all", ""},
		{"explain slott", "is no check", "dirtbike explain slot", ""},
		{"explain nonsense-of-mine", "is no check", "dirtbike explain all", ""},
		{"resnapshot", "takes names of tables", "dirtbike resnapshot schema.table", "no config file"},
		{"init --out there.yaml", "--source is missing", "dirtbike init --source postgres://user@host:5432/database", "is there already"},
		{"init --source postgres://u@127.0.0.1:1/d --out there.yaml", "is there already", "--out FILE, or --force to replace it", "Postgres"},
		{"wait --timeout 0s", "leaves no time", "--timeout 60s", "no config file"},
		{"wait --timeout -5s", "leaves no time", "--timeout 60s", "no config file"},
		{"wait --config nothing.yaml", "no config file", config, "there.yaml:1:1"},
		{"inventory --config good.yaml --listen nonsense", "not of the form", "--listen 127.0.0.1:8085", "Postgres"},
		{"inventory --config good.yaml --listen 0.0.0.0:8085", "other hosts reach", `ops.token: "${file:ops.token}" (openssl rand -hex 32 >ops.token), ` +
			"ops.tls with the ca of client certificates, or both; or --listen 127.0.0.1:8085", "Postgres"},
		{"embedded --dir - --log-level loud", "--log-level", "--log-level info", "no directory"},
		{"embedded --dir - --log-format xml", "--log-format", "--log-format json", "no directory"},
		{"demo --for -5s " + noEngines, "cannot run for", "--for 30s, or --for 0 until Ctrl-C", "redpanda"},
		{"bench --only nothing " + noEngines, "no measure", "--only stream,copy,load,latency", "redpanda"},
		{"bench --only load --pairs 0 " + noEngines, "cannot be compared", "--pairs 5", "redpanda"},
		{"bench --only load --rows 5 " + noEngines, "say nothing", "--rows 1000000", "redpanda"},
		{"bench --only load --tries 0 " + noEngines, "without settings", "--tries 5", "redpanda"},
		{"bench --only load --rate 0 " + noEngines, "cannot be written", "--rate 500", "redpanda"},
		{"bench --only load --for 1ms " + noEngines, "too short", "--for 20s", "redpanda"},
		{"bench --only load --against ./gone " + noEngines, "no program", "go build -o old-dirtbike ./cmd/dirtbike in its checkout, then --against ./old-dirtbike", "redpanda"},
	} {
		words := strings.Fields(c.typed)
		code, said, way := typed(t.Context(), words...)
		require.Equal(t, exitWrong, code, said)
		require.Contains(t, said, c.fault)
		require.Equal(t, c.says, way, said)
		var next [][]string
		if command, is := strings.CutPrefix(way, "dirtbike "); is {
			next = append(next, strings.Fields(command))
			if words[0] == "init" {
				next[0] = append(next[0], "--out", good)
			}
		} else {
			for _, flag := range flags.FindAllString(way, -1) {
				flag = strings.ReplaceAll(strings.TrimRight(flag, ",; "), "FILE", "there.yaml")
				flag = strings.TrimSuffix(strings.TrimSuffix(flag, " to"), " until")
				flag = regexp.MustCompile(`,? (?:or|then)$`).ReplaceAllString(flag, "")
				if words[0] == "init" {
					flag = strings.Replace(flag, "there.yaml", "new.yaml", 1)
				}
				next = append(next, instead(words, strings.Fields(flag)))
			}
		}
		require.NotEmpty(t, next, way)
		for _, line := range next {
			code, said, _ := typed(t.Context(), line...)
			require.NotContains(t, said, c.fault, "%v", line)
			require.Equal(t, c.later == "", code == exitGood, "%v: %s", line, said)
			require.Contains(t, said, c.later, "%v", line)
		}
	}
}

// TestWaysOutOfFilesAreTaken: where a file of a command line cannot be, another one is named, as the error says.
func TestWaysOutOfFilesAreTaken(t *testing.T) {
	t.Chdir(t.TempDir())
	_, _, way := typed(t.Context(), "check", "--config", "-")
	require.Equal(t, "--config /dev/stdin", way)
	piped := exec.CommandContext(t.Context(), os.Args[0], append([]string{"check"}, strings.Fields(way)...)...)
	piped.Stdin = strings.NewReader("opps: {}\n")
	said, err := piped.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "/dev/stdin:1:1: opps: unknown key")

	_, _, way = typed(t.Context(), "check", "--config", "")
	require.Equal(t, "--config FILE; dirtbike explain config shows every key", way)
	_, shown, _ := typed(t.Context(), strings.Fields(regexp.MustCompile(`dirtbike (explain config)`).FindStringSubmatch(way)[1])...)
	require.NoError(t, os.WriteFile("FILE", []byte(shown), 0o600))
	code, again, _ := typed(t.Context(), "check", "--config", "FILE")
	require.Equal(t, exitWrong, code)
	require.Contains(t, again, "environment variable PGPASSWORD is not set", "it is read, and asks for its secrets")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	line := []string{"bench", "--only", "load", "--kafka", "kfake", "--out"}
	_, said2, way := typed(ended, append(line, "nowhere/report.md")...)
	require.Equal(t, "another --out", way, said2)
	_, said2, _ = typed(ended, append(line, "report.md")...)
	require.FileExists(t, "report.md")
	require.NotContains(t, said2, "make the report's file")

	code, _, way = typed(ended, "embedded", "--prepare", "--clean", "--engines", "docker", "--dir", "stack")
	require.Equal(t, exitWrong, code)
	require.Equal(t, "one after the other", way)
	for _, one := range []string{"--prepare", "--clean"} {
		_, said2, _ = typed(ended, "embedded", one, "--engines", "docker", "--dir", "stack")
		require.NotContains(t, said2, "exclude each other")
	}
}
