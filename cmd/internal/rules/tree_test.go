package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// root is the folder of the project.
const root = "../../.."

// source is a file that belongs to the project.
type source struct {
	path string // from the root, with slashes
	text string
}

// files reads every file of the project: what git tracks, and what it would track.
var files = sync.OnceValues(func() ([]source, error) {
	out, err := output("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	var all []source
	for path := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, path))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			return nil, err
		}
		all = append(all, source{path, string(text)})
	}
	return all, nil
})

// tree is files for tests.
func tree(t *testing.T) []source {
	t.Helper()
	embeddedtest.Tools(t, "git")
	all, err := files()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// goPackage is what `go list` says of a package.
type goPackage struct {
	ImportPath, Name                   string
	Imports, TestImports, XTestImports []string
}

// packages lists the packages of the project, also those that do not compile: other tests say so better.
func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := output("go", "list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports", "./...")
	require.NoError(t, err)
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

// output runs a program in the root and gives what it writes to stdout; its stderr is in the error.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", errors.Join(err, errors.New(stderr.String()))
	}
	return stdout.String(), nil
}
