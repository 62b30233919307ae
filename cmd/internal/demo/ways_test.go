package demo

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/demo/clinic"
)

// wayOf gives the only way out of an error.
func wayOf(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	require.Len(t, cdc.Explain(err).Try, 1, "%v", err)
	return cdc.Explain(err).Try[0].Command
}

// TestWaysOutOfOptionsAreTaken: the flags that an error names are accepted.
func TestWaysOutOfOptionsAreTaken(t *testing.T) {
	for _, of := range []string{"--for 30s", "--for 0"} {
		way := wayOf(t, (&Options{For: -time.Second}).check())
		require.Equal(t, "--for 30s, or --for 0 until Ctrl-C", way)
		require.Contains(t, way, of)
		duration, err := time.ParseDuration(strings.Fields(of)[1])
		require.NoError(t, err)
		require.NoError(t, (&Options{For: duration}).check())
	}
	bounds := regexp.MustCompile(`^(\d+) to (\d+)$`).FindStringSubmatch(wayOf(t, clinic.CheckRows(3)))
	require.NotNil(t, bounds)
	for i, beyond := range map[int]int{1: -1, 2: 1} {
		rows, err := strconv.Atoi(bounds[i])
		require.NoError(t, err)
		require.NoError(t, (&Options{Rows: rows}).check())
		require.Error(t, (&Options{Rows: rows + beyond}).check())
	}
}

// TestWaysOutOfDirectoriesAreTaken: where a directory, or that for temporary files, is refused, another one is taken.
func TestWaysOutOfDirectoriesAreTaken(t *testing.T) {
	prepare := func(dir string) (string, error) {
		d := &demo{Options: Options{Dir: dir}}
		err := d.prepareDir()
		return d.Dir, err
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{"-", file, filepath.Dir(file), "/proc/x"} {
		_, err := prepare(dir)
		require.Equal(t, "--dir with a new directory", wayOf(t, err))
		_, err = prepare(filepath.Join(t.TempDir(), "new"))
		require.NoError(t, err)
	}
	t.Setenv("TMPDIR", file)
	_, err := prepare("")
	require.Equal(t, "--dir with a new directory, or another TMPDIR", wayOf(t, err))
	_, err = prepare(filepath.Join(filepath.Dir(file), "new"))
	require.NoError(t, err)
	t.Setenv("TMPDIR", filepath.Dir(file))
	made, err := prepare("")
	require.NoError(t, err)
	require.Equal(t, filepath.Dir(file), filepath.Dir(made))
}
