package image

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostMegabytes is how large the binary may be.
const mostMegabytes = 45

// copyContext copies what the image is built from, as docker/Dockerfile.dockerignore lets it through.
func copyContext(from, to string) (err error) {
	var names []string
	if err := askDocker(&names, "context", from, filepath.Join(from, "docker", "Dockerfile.dockerignore")); err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, text, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// build runs the Dockerfile's own build, once.
var build = sync.OnceValues(func() (string, error) {
	all, err := instructions(filepath.Join(root, "docker", "Dockerfile"))
	if err != nil {
		return "", err
	}
	from, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	source, binary := filepath.Join(built, "src"), filepath.Join(built, "dirtbike")
	if err := copyContext(from, source); err != nil {
		return "", err
	}
	command := exec.Command("sh", "-c", strings.Replace(buildCommand(all), " -o /dirtbike ", " -o "+binary+" ", 1))
	command.Dir, command.Env = source, append(os.Environ(), "REVISION=0123abc")
	if out, err := command.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return binary, nil
})

// binary is the image's.
func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	return path
}

// TestTheBinaryIsStatic: an image without anything else can run it.
func TestTheBinaryIsStatic(t *testing.T) {
	file, err := elf.Open(binary(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	for _, segment := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "it needs an interpreter")
		require.NotEqual(t, elf.PT_DYNAMIC, segment.Type, "it needs shared libraries")
	}
	info, err := os.Stat(binary(t))
	require.NoError(t, err)
	t.Logf("%.1f MB", float64(info.Size())/1e6)
	require.Less(t, info.Size(), int64(mostMegabytes*1e6))

	whole := filepath.Join(t.TempDir(), "dirtbike")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", whole, "./cmd/dirtbike")
	command.Dir, command.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	linked, err := elf.Open(whole)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, linked.Close()) })
	interpreters := 0
	for _, segment := range linked.Progs {
		if segment.Type == elf.PT_INTERP {
			interpreters++
		}
	}
	require.Equal(t, 1, interpreters, "with the embedded stack it has one: the test can fail")
}

// TestTheBinaryLeavesTheStackOut: what only the embedded stack needs is not in it, and its verbs say so.
func TestTheBinaryLeavesTheStackOut(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "list", "-tags", "noembedded", "-deps", "./cmd/dirtbike")
	command.Dir = root
	out, err := command.Output()
	require.NoError(t, err)
	for _, path := range []string{"dirtbike/docker/", "dirtbike/cmd/internal/demo", "ebitengine/purego", "franz-go/pkg/kfake", "sr/srfake", "stretchr/testify"} {
		require.NotContains(t, string(out), path)
	}
	nowhere := unwritable(t)
	code, stdout, _ := asNobody(t, nowhere, "version")
	require.Zero(t, code)
	require.Regexp(t, `^dirtbike \S+, commit 0123abc, go1\.\S+\n$`, stdout)
	for _, args := range [][]string{{"demo", "--for", "0"}, {"embedded"}, {"embedded", "--dir", "x"}} {
		code, stdout, stderr := asNobody(t, nowhere, args...)
		require.Equal(t, 2, code)
		require.Empty(t, stdout)
		require.Equal(t, "Error: this build has no embedded stack.\nTry: go run ./cmd/dirtbike "+args[0]+"\n", stderr)
		_, way, _ := strings.Cut(strings.TrimSpace(stderr), "\nTry: ")
		tried := exec.CommandContext(t.Context(), "sh", "-c", way+" --help")
		tried.Dir = root
		help, err := tried.Output()
		require.NoError(t, err)
		require.Contains(t, string(help), "dirtbike "+args[0]+" [flags]")
	}
	code, stdout, _ = asNobody(t, nowhere, "--help")
	require.Zero(t, code)
	require.Contains(t, stdout, "Not in this build")
	code, _, stderr := asNobody(t, nowhere, "run")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "Error: no config file dirtbike.yaml.\nTry: ")
}

// unwritable is a folder into which the image's user cannot write.
func unwritable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(built, "") // the folder of a test is closed to other users
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { require.NoError(t, os.Chmod(dir, 0o755)) })
	return dir
}

// asNobody runs a verb to its end as the image runs it.
func asNobody(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	command := nobody(t.Context(), t, dir, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

// nobody is a verb with what a read-only container has: no home, no place for temporary files, another user.
func nobody(ctx context.Context, t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(ctx, binary(t), args...)
	command.Dir, command.Env = dir, []string{"HOME=/nonexistent", "TMPDIR=/nonexistent", "PATH=/nonexistent"}
	command.SysProcAttr = imageUser()
	return command
}
