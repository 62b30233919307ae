package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dirtbike/cdc"
)

// configName is the config file; everything else is in the same folder.
const configName = "dirtbike.yaml"

// prepareDir makes the directory: a temporary one, or the one that was named, which must be new or empty, since a
// clinic is filled only once.
func (d *demo) prepareDir() error {
	if d.Dir == "" {
		dir, err := os.MkdirTemp("", "dirtbike-demo-")
		if err != nil {
			return cdc.Failed("make a temporary directory").Of(ErrOptions).Because(err).Fix("--dir with a new directory, or another TMPDIR")
		}
		d.Dir, d.temporary = dir, true
		return os.Chmod(dir, 0o755) // Postgres runs as another user when we are root
	}
	dir, err := filepath.Abs(d.Dir)
	if err != nil {
		return fmt.Errorf("find the demo's directory: %w", err)
	}
	if d.Dir == "-" { // elsewhere it means a stream
		return cdc.Failed("- is no directory").Of(ErrOptions).Fix("--dir with a new directory")
	}
	d.Dir = dir
	if err := refuseUsed(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // as above
		return unusable(dir, err)
	}
	return tryWriting(dir)
}

// tryWriting refuses a directory in which nothing can be made, before anything is started.
func tryWriting(dir string) error {
	file, err := os.CreateTemp(dir, ".dirtbike-demo-")
	if err != nil {
		return unusable(dir, err)
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		return unusable(dir, err)
	}
	return nil
}

// unusable names the reason alone: the path in err may be another one than the user's.
func unusable(dir string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return cdc.Failed("%s cannot be the demo's directory", dir).Of(ErrOptions).Because(err).Fix("--dir with a new directory")
}

func refuseUsed(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return unusable(dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, configName)); err == nil {
		stack, config := cdc.ShellWord(filepath.Join(dir, "stack")), cdc.ShellWord(filepath.Join(dir, configName))
		return cdc.Failed("%s holds an earlier demo", dir).Of(ErrOptions).
			Fix("another --dir; or dirtbike embedded --dir %s, which starts its databases again, and dirtbike run --config %s", stack, config)
	}
	return cdc.Failed("%s is not empty; nothing was touched", dir).Of(ErrOptions).Fix("--dir with a new directory")
}

// ErrOptions says that the options name something that the demo will not do; nothing was started.
var ErrOptions = errors.New("no demo")
