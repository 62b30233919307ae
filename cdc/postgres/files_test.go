package postgres

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/secure"
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
					require.Equal(t, []cdc.Remedy{{Command: "a regular file of at most 1048576 bytes"}}, cdc.Explain(err).Try) // as small is
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

// TestAddressesAreFixed: what makes an address unusable, and that it is good once what the way out says is there.
func TestAddressesAreFixed(t *testing.T) {
	dir := t.TempDir()
	authority, err := secure.NewAuthority("test")
	require.NoError(t, err)
	one, err := authority.Issue("clerk")
	require.NoError(t, err)
	other, err := authority.Issue("another")
	require.NoError(t, err)
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	const address = "postgres://u:hunter2@127.0.0.1:1/d?sslmode=verify-full"
	missing, root := filepath.Join(dir, "missing"), filepath.Join(dir, "root")
	for _, test := range []struct {
		url, way string
		apply    func()
	}{
		{address + "&sslrootcert=" + missing, "an absolute path that dirtbike's user may read", func() { file("missing", authority.PEM) }},
		{address + "&sslrootcert=" + file("root", []byte("none")), "a file with -----BEGIN CERTIFICATE-----", func() { file("root", authority.PEM) }},
		{
			address + "&sslrootcert=" + root + "&sslcert=" + file("cert", one.Cert) + "&sslkey=" + file("key", other.Key),
			"give both, a certificate and its own key, as PEM", func() { file("key", one.Key) },
		},
	} {
		_, err := Login{URL: test.url}.Config()
		require.ErrorIs(t, err, cdc.ErrRefused)
		require.Equal(t, []cdc.Remedy{{Command: test.way}}, cdc.Explain(err).Try)
		require.NotContains(t, err.Error(), "hunter2")
		test.apply()
		_, err = Login{URL: test.url}.Config()
		require.NoError(t, err)
	}
	_, err = Login{URL: "u=x password=hunter2 'host"}.Config()
	require.NotContains(t, err.Error(), "hunter2")
	_, err = Login{URL: cdc.Explain(err).Try[0].Command}.Config()
	require.NoError(t, err)
	_, err = Login{URL: "postgres://u:hunter2@127.0.0.1:1/d?sslmode=maybe"}.Config()
	require.NotContains(t, err.Error(), "hunter2")
	_, err = Login{URL: "postgres://u:hunter2@127.0.0.1:1/d?" + cdc.Explain(err).Try[0].Command}.Config()
	require.NoError(t, err)
}
