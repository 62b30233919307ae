package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

var update = flag.Bool("update", false, "write the .error files of testdata anew")

// Each testdata/NAME.yaml that is wrong has its exact error beside it, in NAME.error. "hunter2secret" stands for a secret
// in all of them and must be in none of the errors.
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

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := config.Parse("a.yaml", []byte(with("opps: {}\nrollups: [{files: x.sql}]")))
	var all config.Errors
	require.True(t, errors.As(err, &all))
	require.Len(t, all, 1, "a file is validated only once it is decoded")
	var one *config.Error
	require.True(t, errors.As(err, &one))
	require.Equal(t, config.Error{File: "a.yaml", Line: 5, Column: 1, Key: "opps", Problem: `unknown key (did you mean "ops"?)`}, *one)
}
