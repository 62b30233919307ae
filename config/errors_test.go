package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

var update = flag.Bool("update", false, "write the .error files of testdata again")

// Each testdata/NAME.yaml that is wrong has its exact error beside it, in NAME.error. "hunter2secret" stands for a
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

// tries matches the way out that every error ends with.
var tries = regexp.MustCompile(`\. Try: (\S.*)$`)

// requireTry fails unless every line of the text says what to do, and gives what it says.
func requireTry(t *testing.T, text string) []string {
	t.Helper()
	var ways []string
	for line := range strings.Lines(text) {
		way := tries.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		require.NotNil(t, way, "no way out: %s", line)
		ways = append(ways, way[1])
	}
	return ways
}

// TestEveryErrorSaysWhatToDo walks the errors of all wrong files.
func TestEveryErrorSaysWhatToDo(t *testing.T) {
	files, err := filepath.Glob("testdata/*.error")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		requireTry(t, string(text))
	}
}

// TestMissingKeysCanBeCopied makes a file of nothing but what the errors say about the keys that it lacks.
func TestMissingKeysCanBeCopied(t *testing.T) {
	for _, variable := range []string{"PGPASSWORD", "KAFKA_PASSWORD", "CLICKHOUSE_PASSWORD"} {
		t.Setenv(variable, "secret")
	}
	_, err := config.Parse("a.yaml", []byte("{}"))
	require.Error(t, err)
	sections := strings.Join(requireTry(t, err.Error()), "\n") + "\n"
	parse(t, sections)
	_, err = config.Parse("a.yaml", []byte(strings.Replace(sections, "kafka: {", "kafka: {sasl: {}, ", 1)))
	require.Error(t, err)
	login := strings.Join(requireTry(t, err.Error()), ", ")
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
