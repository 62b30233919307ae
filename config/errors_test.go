package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

var update = flag.Bool("update", false, "write the .error files of testdata again")

// Each testdata/NAME.yaml that is wrong has its exact error in NAME.error. "hunter2secret" stands for a
// secret in all of them and must be in none of the errors.
func TestWrongFiles(t *testing.T) {
	t.Setenv("DIRTBIKE_TEST_SECRET", "hunter2secret")
	t.Setenv("DIRTBIKE_TEST_EMPTY", "")
	t.Chdir("testdata")
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		if file == "design.yaml" {
			continue
		}
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			_, err := config.Load(file)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
			requireTry(t, err)
			golden := strings.TrimSuffix(file, ".yaml") + ".error"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

// requireTry fails unless every problem in the error says what to do, and gives what each says.
func requireTry(t *testing.T, err error) []string {
	t.Helper()
	require.Error(t, err)
	var several config.Errors
	if !errors.As(err, &several) {
		remedies := cdc.Explain(err).Try
		require.NotEmpty(t, remedies, "no way out: %v", err)
		return []string{remedies[0].Command}
	}
	ways := make([]string, len(several))
	for i, one := range several {
		require.NotEmpty(t, one.Try, "no way out: %v", one)
		ways[i] = one.Try
	}
	return ways
}

// requireProblems requires these problems, each as "line:column key: way out".
func requireProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	var all config.Errors
	require.ErrorAs(t, err, &all)
	got := make([]string, len(all))
	for i, e := range all {
		got[i] = fmt.Sprintf("%d:%d %s: %s", e.Line, e.Column, e.Key, e.Try)
	}
	require.Equal(t, want, got)
}

// requireKey requires that every problem is about the key, or one of its file.
func requireKey(t *testing.T, err error, key string) {
	t.Helper()
	var all config.Errors
	require.ErrorAs(t, err, &all)
	for _, e := range all {
		require.Equal(t, key, e.Key)
	}
}

// TestMissingKeysCanBeCopied makes a file of nothing but what the errors say about the keys that it lacks.
func TestMissingKeysCanBeCopied(t *testing.T) {
	for _, variable := range []string{"PGPASSWORD", "KAFKA_PASSWORD", "CLICKHOUSE_PASSWORD"} {
		t.Setenv(variable, "secret")
	}
	_, err := config.Parse("a.yaml", []byte("{}"))
	require.Error(t, err)
	sections := strings.Join(requireTry(t, err), "\n") + "\n"
	parse(t, sections)
	_, err = config.Parse("a.yaml", []byte(strings.Replace(sections, "kafka: {", "kafka: {sasl: {}, ", 1)))
	require.Error(t, err)
	login := strings.Join(requireTry(t, err), ", ")
	parse(t, strings.Replace(sections, "kafka: {", "kafka: {sasl: {"+login+"}, ", 1))
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := config.Parse("a.yaml", []byte(with("opps: {}\nrollups: [{files: x.sql}]")))
	var all config.Errors
	require.True(t, errors.As(err, &all))
	require.Len(t, all, 1, "a file is validated only once it is decoded")
	var one *config.Error
	require.True(t, errors.As(err, &one))
	require.Equal(t, config.Error{File: "a.yaml", Line: 5, Column: 1, Key: "opps", What: "unknown key", Try: "ops"}, *one)
}
