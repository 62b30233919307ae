package embedded

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// asNobody runs f as a user that owns nothing, where the test runs as root.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the kernel keeps users per thread; without an unlock it ends with this goroutine
		if os.Geteuid() == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), nobody, ^uintptr(0))
		}
		f()
	}()
	<-done
}

// TestWaysOutOfUsersAreTaken: another user's directory is removed by that user, and Postgres' user reaches the programs
// in the folder that is named.
func TestWaysOutOfUsersAreTaken(t *testing.T) {
	if os.Geteuid() != 0 { // there is one user
		return
	}
	root := t.TempDir()
	for up := root; up != filepath.Clean(os.TempDir()) && up != "/"; up = filepath.Dir(up) {
		require.NoError(t, os.Chmod(up, 0o755))
	}
	d, err := openDir(filepath.Join(root, "stack"))
	require.NoError(t, err)
	require.NoError(t, d.close())
	asNobody(func() { err = Clean(d.path) })
	require.Equal(t, "as the user who started it", wayOf(t, err))
	require.DirExists(t, d.path)
	require.NoError(t, Clean(d.path))
	require.NoDirExists(t, d.path)

	t.Setenv("DIRTBIKE_CACHE", "")
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	asNobody(func() { _, err = newCache(Options{}) })
	require.Equal(t, "set DIRTBIKE_CACHE", wayOf(t, err))
	t.Setenv("DIRTBIKE_CACHE", root)
	asNobody(func() { _, err = newCache(Options{}) })
	require.NoError(t, err)

	closed := filepath.Join(t.TempDir(), "bin")
	require.NoError(t, os.Mkdir(closed, 0o700))
	d, err = openDir(filepath.Join(root, "other"))
	require.NoError(t, err)
	defer func() { require.NoError(t, d.close()) }()
	_, err = openPostgres(d, postgresEngine{bin: closed}, nil, zap.NewNop())
	variable, value, is := strings.Cut(wayOf(t, err), "=")
	require.True(t, is)
	t.Setenv(variable, value)
	c, err := newCache(Options{})
	require.NoError(t, err)
	require.NoError(t, c.create())
	_, err = openPostgres(d, postgresEngine{bin: c.dir}, nil, zap.NewNop())
	require.NoError(t, err)
}
