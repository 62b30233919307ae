package config_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// asAnother runs read as the user, where the test runs as root.
func asAnother(user int, read func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the kernel keeps users per thread; without an unlock it ends with this goroutine
		if os.Geteuid() != user {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(user), ^uintptr(0))
		}
		read()
	}()
	<-done
}

// TestUnreadableFilesAreMadeReadable does, in a shell, what the error about a secret says: whoever owns it, and where
// its folder is closed.
func TestUnreadableFilesAreMadeReadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a folder")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for up := dir; up != filepath.Clean(os.TempDir()) && up != "/"; up = filepath.Dir(up) {
		require.NoError(t, os.Chmod(up, 0o755))
	}
	secret, root, user := filepath.Join(dir, "secret"), os.Geteuid(), os.Geteuid()
	if root == 0 {
		user = 65534 // nobody
	}
	load := func() (err error) {
		asAnother(user, func() {
			_, err = config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(in("registry", `user: "${file:secret}"`)))
		})
		return err
	}
	for says, file := range map[string]struct {
		owner  int
		file   os.FileMode
		folder os.FileMode
	}{
		"chmod u+r " + cdc.ShellWord(secret):                                            {user, 0, 0o755},
		fmt.Sprintf("chown %d %s", user, cdc.ShellWord(secret)):                         {root, 0o600, 0o755},
		"let the user that runs dirtbike enter its folders: chmod a+x for each of them": {user, 0o600, 0o600},
	} {
		if root != 0 && file.owner == root && file.file != 0 {
			continue // another user's file takes root
		}
		_ = os.Remove(secret)
		require.NoError(t, os.WriteFile(secret, []byte("x"), 0o600))
		require.NoError(t, os.Chown(secret, file.owner, -1))
		require.NoError(t, os.Chmod(secret, file.file))
		require.NoError(t, os.Chmod(dir, file.folder))
		require.Equal(t, says, requireTry(t, load())[0])
		command := says
		if _, folders, is := strings.Cut(says, ": "); is {
			command = strings.Fields(folders)[0] + " " + strings.Fields(folders)[1] + " " + cdc.ShellWord(dir)
		}
		require.NoError(t, exec.CommandContext(t.Context(), "sh", "-c", command).Run())
		require.NoError(t, load())
		require.NoError(t, os.Chmod(dir, 0o755))
	}
}
