package bench

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestWayOutOfTMPDIRIsTaken: another directory for temporary files is set.
func TestWayOutOfTMPDIRIsTaken(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	err := inDir(func(string) error { return nil })
	require.Equal(t, []cdc.Remedy{{Command: "another TMPDIR"}}, cdc.Explain(err).Try)
	t.Setenv("TMPDIR", t.TempDir())
	require.NoError(t, inDir(func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600)
	}))
}

// TestWayOutOfRecvlogicalIsTaken: without the program, the measures that the error names need none.
func TestWayOutOfRecvlogicalIsTaken(t *testing.T) {
	t.Setenv("PATH", "")
	_, err := recvlogicalIn(t.TempDir())
	only := regexp.MustCompile(`apt-get install postgresql-client, or --only (\S+)`).FindStringSubmatch(cdc.Explain(err).Try[0].Command)
	require.NotNil(t, only)
	o := Options{Only: strings.Split(only[1], ","), Pairs: 1, Rows: leastRows, Tries: 1, Rate: 1, For: time.Second}
	require.NoError(t, o.Check())
	require.False(t, o.takes(MeasureStream))
	require.Len(t, o.Only, len(Measures())-1)
}
