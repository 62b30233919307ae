package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// configName is the file beside which everything else lies.
const configName = "dirtbike.yaml"

// prepareDir makes the directory: a temporary one, or the one that was named, which must be new or empty, since a clinic is
// filled only once.
func (d *demo) prepareDir() error {
	if d.Dir == "" {
		dir, err := os.MkdirTemp("", "dirtbike-demo-")
		if err != nil {
			return fmt.Errorf("make a temporary directory: %w", err)
		}
		d.Dir, d.temporary = dir, true
		return os.Chmod(dir, 0o755) // Postgres runs as another user when we are root
	}
	dir, err := filepath.Abs(d.Dir)
	if err != nil {
		return fmt.Errorf("find the demo's directory: %w", err)
	}
	d.Dir = dir
	if err := refuseUsed(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // as above
		return fmt.Errorf("make the demo's directory: %w", err)
	}
	return nil
}

func refuseUsed(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("look into the demo's directory: %w. Try: --dir with a new directory", err)
	}
	if _, err := os.Stat(filepath.Join(dir, configName)); err == nil {
		return fmt.Errorf("%w: %s holds an earlier demo. Try: another --dir; or dirtbike embedded --dir %s, which starts its databases again, and dirtbike run --config %s",
			ErrOptions, dir, filepath.Join(dir, "stack"), filepath.Join(dir, configName))
	}
	return fmt.Errorf("%w: %s is not empty; nothing was touched. Try: --dir with a new directory", ErrOptions, dir)
}

// ErrOptions says that the options name something that the demo will not do; nothing was started.
var ErrOptions = errors.New("no demo")
