package embedded

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

const (
	rootCache     = "/var/cache/dirtbike"
	completeName  = ".complete"
	lockPoll      = 100 * time.Millisecond
	progressEvery = 100 * time.Millisecond
)

// cache is the folder that holds the installed engines, shared by every stack of the user.
type cache struct {
	dir      string
	progress Progress
	log      *zap.Logger
}

// pkg is something installed into a folder of its own in the cache. The folder's name carries the digest of what is
// pinned, so an upgrade keeps the old one, and two releases never use the same folder.
type pkg struct {
	name   string
	digest string // hex SHA-256 of the lock file
	size   int64  // bytes on disk once installed, for the progress bar
	check  func() error
	build  func(ctx context.Context, dir string) error
}

func (p pkg) folder() string { return p.name + "-" + p.digest[:12] }

// newCache finds the cache folder: the option, DIRTBIKE_CACHE, /var/cache/dirtbike for root, else the user's own.
func newCache(o Options) (*cache, error) {
	dir := cmp.Or(o.Cache, os.Getenv("DIRTBIKE_CACHE"))
	if dir == "" && os.Geteuid() == 0 {
		dir = rootCache
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache folder: %w. Try: set DIRTBIKE_CACHE", err)
		}
		dir = filepath.Join(base, "dirtbike")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	return &cache{dir: abs, progress: o.Progress, log: o.Log}, nil
}

// install returns the folder of p, building it first if it is not there. Any number of processes may call it at once.
func (c *cache) install(ctx context.Context, p pkg) (string, error) {
	final := filepath.Join(c.dir, p.folder())
	if installed(final, p.digest) {
		return final, nil
	}
	if err := p.check(); err != nil {
		return "", err
	}
	if err := c.create(); err != nil {
		return "", err
	}
	lock, err := c.lock(ctx, p.name)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if installed(final, p.digest) {
		return final, nil
	}
	if err := c.build(ctx, p, final); err != nil {
		return "", fmt.Errorf("install %s into %s: %w", p.name, c.dir, err)
	}
	return final, nil
}

// lock takes the lock of a package, and says so if another process holds it.
func (c *cache) lock(ctx context.Context, name string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(c.dir, "."+name+".lock"), flock.SetPermissions(0o644))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		c.log.Info("waiting for another process that is installing", zap.String("package", name))
		_, err = lock.TryLockContext(ctx, lockPoll)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the cache folder %s for %s: %w. Try: set DIRTBIKE_CACHE to a folder you can write", c.dir, name, err)
	}
	return lock, nil
}

func installed(dir, digest string) bool {
	got, err := os.ReadFile(filepath.Join(dir, completeName))
	return err == nil && string(got) == digest
}

// create makes the cache folder; the one of root must be readable by the unprivileged user that Postgres runs as.
func (c *cache) create() error {
	if _, err := os.Stat(c.dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("create the cache folder: %w. Try: set DIRTBIKE_CACHE to a folder you can write", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chmod(c.dir, 0o755)
}

// build fills a temporary folder and renames it; the caller holds the lock.
func (c *cache) build(ctx context.Context, p pkg, final string) error {
	prefix := ".tmp-" + p.name + "-"
	if err := c.removeLeftovers(prefix, final); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.dir, prefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	c.log.Info("installing", zap.String("package", p.name), zap.String("into", final))
	stop := watchSize(c.progress, p.name, tmp, p.size)
	err = p.build(ctx, tmp)
	stop(err)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, completeName), []byte(p.digest), 0o644); err != nil {
		return err
	}
	if err := makeReadable(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, final)
}

// removeLeftovers removes what an interrupted installation left. The lock is held, so no other process is working on
// it.
func (c *cache) removeLeftovers(prefix, final string) error {
	left, err := filepath.Glob(filepath.Join(c.dir, prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range append(left, final) {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// makeReadable lets every user read (and run what is executable), under any umask.
func makeReadable(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode) //nolint:gosec // no other process writes there: it is the folder being built, under its lock
	})
}

// watchSize reports the growth of dir to p until the returned function is called: npm and Maven show no progress of
// their own when they do not write to a terminal.
func watchSize(p Progress, name, dir string, total int64) (done func(error)) {
	if p == nil {
		return func(error) {}
	}
	set, end := p(name, total)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				set(min(dirSize(dir), total))
			}
		}
	})
	return func(err error) {
		close(stop)
		watching.Wait()
		end(err)
	}
}

// dirSize sums the files below dir; what vanishes meanwhile counts as nothing.
func dirSize(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
