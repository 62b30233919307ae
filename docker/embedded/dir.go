package embedded

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"
)

const (
	markerName  = ".dirtbike-embedded.json"
	lockName    = ".lock"
	stateFormat = 1
)

// state is the content of the marker file: what a restart on the same directory must find again. It holds passwords, so
// its mode is 0600.
type state struct {
	Format             int            `json:"format"`
	Ports              map[string]int `json:"ports"`
	PostgresMajor      string         `json:"postgres_major"`
	PostgresPassword   string         `json:"postgres_password"`
	ClickHousePassword string         `json:"clickhouse_password"`
	Kafka              string         `json:"kafka"`
}

// workDir is a locked directory of the stack.
type workDir struct {
	path  string
	lock  *flock.Flock
	state *state
}

// openDir creates or opens a directory of ours and locks it against another stack.
func openDir(path string) (*workDir, error) {
	switch path {
	case "":
		return nil, optionError("no directory given. Try: --dir DIR")
	case "-": // elsewhere it means a stream
		return nil, optionError("- is no directory. Try: --dir DIR")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open embedded directory: %w", err)
	}
	if err := createDir(abs); err != nil {
		return nil, err
	}
	if err := refuseForeign(abs); err != nil {
		return nil, err
	}
	lock, err := lockDir(abs)
	if err != nil {
		return nil, err
	}
	d := &workDir{path: abs, lock: lock}
	if err := d.loadState(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return d, nil
}

// createDir makes the directory private; root's may be walked through, to Postgres' folder. One that exists keeps its
// mode.
func createDir(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return optionError("%s is a file. Try: --dir with a new or empty directory", path)
	case !errors.Is(err, fs.ErrNotExist):
		return unusable(path, err)
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		err = os.Mkdir(path, mode)
	}
	if err != nil {
		return unusable(path, err)
	}
	return nil
}

// unusable says that nothing can be made or read at the place that was given; of the error it has the reason alone,
// since its path may be another one than the user's.
func unusable(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return optionError("%s cannot be the directory of the embedded stack: %w. Try: --dir with a new or empty directory, at a place where this user may write", path, err)
}

// refuseForeign fails if the directory has content but not our marker: --clean would remove it later.
func refuseForeign(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return unusable(path, err)
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == markerName }) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != markerName+".tmp" {
			return optionError("%s is neither empty nor a directory of the embedded stack; nothing was touched. Try: --dir with a new or empty directory", path)
		}
	}
	return nil
}

var errInUse = errors.New("in use by another embedded stack")

func lockDir(path string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(path, lockName))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, unusable(path, err)
	}
	if !ok {
		return nil, optionError("%s is %w. Try: stop it, or another --dir", path, errInUse)
	}
	return lock, nil
}

func (d *workDir) loadState() error {
	st, err := readState(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		// rand.Text is safe in a URL, in XML and in SQL
		d.state = &state{Format: stateFormat, Ports: map[string]int{}, PostgresPassword: rand.Text(), ClickHousePassword: rand.Text()}
		return d.saveState()
	}
	d.state = st
	return err
}

func readState(path string) (*state, error) {
	raw, err := os.ReadFile(filepath.Join(path, markerName))
	if err != nil {
		return nil, fmt.Errorf("read marker: %w", err)
	}
	st := &state{}
	if err := json.Unmarshal(raw, st); err != nil {
		return nil, fmt.Errorf("read marker %s: %w", filepath.Join(path, markerName), err)
	}
	if st.Format != stateFormat {
		return nil, optionError("%s has format %d, this release knows %d. Try: the release that made it", path, st.Format, stateFormat)
	}
	if st.Ports == nil {
		st.Ports = map[string]int{}
	}
	return st, nil
}

// saveState replaces the marker atomically.
func (d *workDir) saveState() error {
	raw, err := json.MarshalIndent(d.state, "", "  ")
	if err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	return writeFileSync(filepath.Join(d.path, markerName), raw)
}

// sub creates a directory below the stack's and returns its path.
func (d *workDir) sub(elem ...string) (string, error) {
	p := filepath.Join(append([]string{d.path}, elem...)...)
	if err := os.MkdirAll(p, 0o700); err != nil {
		return "", fmt.Errorf("create %s: %w", p, err)
	}
	return p, nil
}

// logPath is the file of a part's log; start makes its folder.
func (d *workDir) logPath(name string) string { return filepath.Join(d.path, "log", name+".log") }

func (d *workDir) close() error { return d.lock.Unlock() }

// Clean stops nothing and removes dir with everything in it, if the marker says that it is a directory of the embedded
// stack and no stack runs on it. A directory that does not exist is no error; a foreign one is left as it is.
func Clean(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("clean embedded directory: %w", err)
	}
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	switch _, err := readState(abs); {
	case errors.Is(err, fs.ErrPermission):
		return optionError("%w; nothing was removed. Try: as the user who started it", err)
	case err != nil:
		return optionError("%s is not a directory of the embedded stack; nothing was removed. Try: --dir with the directory that `dirtbike embedded` was given", abs)
	}
	lock, err := lockDir(abs)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.RemoveAll(abs); err != nil {
		return optionError("%w. Try: as the user who started it", err)
	}
	return nil
}

// writeFileSync writes a file of mode 0600 so that a crash leaves either the old content or the new.
func writeFileSync(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}
