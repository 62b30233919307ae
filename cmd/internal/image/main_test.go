package image

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
)

// root is the folder of the project.
const root = "../../.."

// built is the folder of what the tests share.
var built string

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(run(m))
}

// run runs the tests, then removes what they built.
func run(m *testing.M) int {
	var err error
	if built, err = os.MkdirTemp("", "image"); err == nil {
		err = os.Chmod(built, 0o755) // other users run what is in it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(built) }()
	return m.Run()
}

// read reads a file of docker/.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docker", name))
	require.NoError(t, err)
	return string(text)
}
