package embedded

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sync/errgroup"
)

// TestParallelPrepare installs one real package into an empty cache from four sides at once.
func TestParallelPrepare(t *testing.T) {
	if err := checkNPM(); err != nil {
		missing(t, "npm", "apt-get install npm")
	}
	core, logs := observer.New(zap.InfoLevel)
	var out bytes.Buffer
	dir := filepath.Join(t.TempDir(), "cache")
	o := Options{Cache: dir, Parts: Parts{Postgres: true}, Log: zap.New(core), Progress: NewProgress(&out)}
	g, ctx := errgroup.WithContext(testContext(t))
	for range 4 {
		g.Go(func() error { return Prepare(ctx, o) })
	}
	require.NoError(t, g.Wait())
	require.Equal(t, 1, logs.FilterMessage("installing").Len())
	require.Contains(t, out.String(), "installing postgres-18 (59 MB)\ninstalled postgres-18 in ")
	found, err := filepath.Glob(filepath.Join(dir, "postgres-18-*", postgresPackage, "native", "lib", "libpq.so.5"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.FileExists(t, found[0], "a symlink that npm leaves out")

	installed, err := npmPackage("postgres-18")
	require.NoError(t, err)
	size := dirSize(filepath.Join(dir, installed.folder()))
	require.InEpsilon(t, installed.size, size, 0.02, "the table of sizes")
}

// fakePackage counts how often it is built.
func fakePackage(digest string, builds *atomic.Int32, fail error) pkg {
	return pkg{
		name: "fake", digest: strings.Repeat(digest, 64), size: 10, check: func() error { return nil },
		build: func(_ context.Context, dir string) error {
			builds.Add(1)
			return errors.Join(fail, os.WriteFile(filepath.Join(dir, "file"), []byte(digest), 0o600))
		},
	}
}

func TestInstall(t *testing.T) {
	ctx := testContext(t)
	c := &cache{dir: t.TempDir(), log: zap.NewNop()}
	var builds atomic.Int32

	noNetwork := errors.New("no network")
	_, err := c.install(ctx, fakePackage("a", &builds, noNetwork))
	require.ErrorIs(t, err, noNetwork)
	first, err := c.install(ctx, fakePackage("a", &builds, nil))
	require.NoError(t, err)
	again, err := c.install(ctx, fakePackage("a", &builds, nil))
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, int32(2), builds.Load(), "an installed package is used as it is")

	require.NoError(t, os.Remove(filepath.Join(first, completeName)))
	left := filepath.Join(c.dir, ".tmp-fake-1")
	require.NoError(t, os.Mkdir(left, 0o755))
	_, err = c.install(ctx, fakePackage("a", &builds, nil))
	require.NoError(t, err)
	require.Equal(t, int32(3), builds.Load(), "an unfinished package is built again")
	require.NoDirExists(t, left)

	next, err := c.install(ctx, fakePackage("b", &builds, nil))
	require.NoError(t, err)
	require.NotEqual(t, first, next, "another lock file is another folder")
	require.DirExists(t, first)
	info, err := os.Stat(filepath.Join(next, "file"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode().Perm(), "readable by the user Postgres runs as")
}

func TestCacheFolder(t *testing.T) {
	t.Setenv("DIRTBIKE_CACHE", "/somewhere")
	c, err := newCache(Options{})
	require.NoError(t, err)
	require.Equal(t, "/somewhere", c.dir)
	c, err = newCache(Options{Cache: "/option"})
	require.NoError(t, err)
	require.Equal(t, "/option", c.dir)
	t.Setenv("DIRTBIKE_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	c, err = newCache(Options{})
	require.NoError(t, err)
	if os.Geteuid() == 0 {
		require.Equal(t, rootCache, c.dir)
		return
	}
	require.Equal(t, "/xdg/dirtbike", c.dir)
}

// TestPinnedPackages reads every lock: exact, with checksums, and naming no host.
func TestPinnedPackages(t *testing.T) {
	entries, err := pinned.ReadDir("npm")
	require.NoError(t, err)
	require.Len(t, entries, 6)
	require.Len(t, npmSizes, 6)
	for _, e := range entries {
		lock, err := pinned.ReadFile("npm/" + e.Name() + "/package-lock.json")
		require.NoError(t, err)
		require.NotContains(t, string(lock), "://")
		require.NotContains(t, string(lock), `"resolved"`)
		require.Contains(t, string(lock), `"integrity": "sha512-`)
		require.NotZero(t, npmSizes[e.Name()])
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.jar"), []byte("hello"), 0o600))
	sums := "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  a.jar\n"
	require.NoError(t, checkSums(dir, sums))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.jar"), []byte("hullo"), 0o600))
	require.Error(t, checkSums(dir, sums), "another content")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.jar"), nil, 0o600))
	require.Error(t, checkSums(dir, sums), "another file")
}

func TestSymlinksStayInsideThePackage(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "native"), 0o755))
	list := filepath.Join(root, "native", "pg-symlinks.json")
	require.NoError(t, os.WriteFile(list, []byte(`[{"source":"native/lib/x.so.1","target":"../x.so"}]`), 0o600))
	require.Error(t, hydrateSymlinks(root), "it leaves the package")
}
