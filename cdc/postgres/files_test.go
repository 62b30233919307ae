package postgres

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestFilesOfAnAddress: no file that an address names can keep the client or fill its memory, in either form of the
// address, from the environment, and where a pool is opened.
func TestFilesOfAnAddress(t *testing.T) {
	dir := t.TempDir()
	pipe, large, small := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "it's small")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, mostFileBytes+1))
	require.NoError(t, os.WriteFile(small, nil, 0o600))
	for name := range namedFiles {
		for path, good := range map[string]bool{pipe: false, large: false, "/dev/zero": false, dir: false, small: true, filepath.Join(dir, "none"): true} {
			quoted := "'" + dir + "/it\\'s small'"
			if path != small {
				quoted = path
			}
			for _, address := range []string{"postgres://u@127.0.0.1:1/d?" + name + "=" + path, "host=127.0.0.1 " + name + " = " + quoted + " user=u"} {
				err := Login{URL: address}.checkFiles()
				require.Equal(t, good, err == nil, "%s: %v", address, err)
				if err != nil {
					require.ErrorIs(t, err, cdc.ErrRefused)
				}
			}
		}
	}
	_, err := Login{URL: "postgres://u@127.0.0.1:1/d?sslkey=" + pipe}.Pool(1)
	require.ErrorIs(t, err, cdc.ErrRefused)
	_, err = Login{URL: "postgres://u@127.0.0.1:1/d?sslmode=require&sslcert=" + pipe}.Connect(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	t.Setenv("PGPASSFILE", pipe)
	_, err = Login{URL: "postgres://u@127.0.0.1:1/d"}.ConnectPlain(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
}
