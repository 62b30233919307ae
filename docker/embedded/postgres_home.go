package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// nobody is the user and group that Postgres runs as when we are root: it refuses to run as root.
const nobody = 65534

// homeFD is the first inherited descriptor.
const homeFD = "/proc/self/fd/3"

// home is the folder that holds the data directory, named so that the user Postgres runs as can reach it.
type home struct {
	ref string   // path for the command line
	dir *os.File // inherited, if ref is a path through it
}

// openHome returns dir by name if the user can walk to it. Otherwise (root's folder below a private one, such as a
// temporary directory of mode 0700) it is handed down as an open descriptor, and no folder's mode changes.
func openHome(dir string, runAs *credential) (*home, error) {
	if runAs == nil || reachable(dir) {
		return &home{ref: dir}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open Postgres' folder: %w", err)
	}
	return &home{ref: homeFD, dir: f}, nil
}

func (h *home) files() []*os.File {
	if h.dir == nil {
		return nil
	}
	return []*os.File{h.dir}
}

func (h *home) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.ref, "LC_ALL=C", "TZ=UTC"}
}

func (h *home) close() {
	if h.dir != nil {
		_ = h.dir.Close()
	}
}

// reachable reports whether every user may walk to dir.
func reachable(dir string) bool {
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if p == filepath.Dir(p) {
			return true
		}
	}
}

// initdb creates the cluster if there is none, in a temporary folder that it renames: one that was interrupted is never
// used.
func (p *Postgres) initdb(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.DataDir(), "PG_VERSION")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for a cluster: %w", err)
	}
	fresh := filepath.Join(p.dir, "initdb")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	pwfile := filepath.Join(p.dir, "pwfile")
	defer os.Remove(pwfile)
	if err := p.writePassword(pwfile); err != nil {
		return err
	}
	if err := p.runInitdb(ctx); err != nil {
		return err
	}
	if err := os.Rename(fresh, p.DataDir()); err != nil {
		return fmt.Errorf("create a cluster: %w", err)
	}
	return nil
}

func (p *Postgres) writePassword(path string) error {
	if err := os.WriteFile(path, []byte(p.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the password for initdb: %w", err)
	}
	if p.runAs == nil {
		return nil
	}
	return os.Chown(path, nobody, nobody)
}

func (p *Postgres) runInitdb(ctx context.Context) error {
	h, err := openHome(p.dir, p.runAs)
	if err != nil {
		return err
	}
	defer h.close()
	cmd := exec.CommandContext(ctx, filepath.Join(p.engine.bin, "initdb"),
		"-D", filepath.Join(h.ref, "initdb"), "-U", postgresUser, "--pwfile", filepath.Join(h.ref, "pwfile"),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions")
	cmd.Env, cmd.Dir, cmd.ExtraFiles = h.env(), "/", h.files()
	return run(ctx, cmd, p.runAs)
}
