package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"dirtbike/cdc"
)

// The largest files that are read, in bytes: anything larger is not what was meant.
const (
	maxSecret = 64 << 10 // a ${file:…} or a hash key
	maxPEM    = 1 << 20  // certificates; a bundle of all authorities has 200 KB
)

// references are ${…}, also one without its end, and the literal "${".
var references = regexp.MustCompile(`\$\$\{|\$\{[^}]*\}?`)

// expand replaces ${env:NAME} and ${file:PATH} in a value; "$${" is a literal "${". What comes out of a reference
// is not expanded again. Errors name the reference, never its content.
func (d *decoder) expand(text string, at place, path keyPath) (expanded string, referenced, ok bool) {
	ok = true
	expanded = references.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$${" || !ok {
			return "${"
		}
		referenced = true
		reference, closed := strings.CutSuffix(found[len("${"):], "}")
		if !closed {
			ok = false
			d.failAt(at, path, `a reference "${" without its "}"`).fix(`$${ for a literal ${`)
			return ""
		}
		value, err := resolve(reference, d.dir)
		if err != nil {
			ok = false
			d.failAt(at, path, "%s", err.What).fix("%s", err.Try[0].Command)
		}
		return value
	})
	return expanded, referenced, ok
}

// resolve returns what a reference (the text between the braces) refers to. The problem does not repeat the reference:
// without a scheme it could be anything, a password with "${" in it too.
func resolve(reference, dir string) (string, *cdc.Problem) {
	scheme, name, _ := strings.Cut(reference, ":")
	switch {
	case scheme == "env" && name != "":
		return fromEnv(name)
	case scheme == "file" && name != "":
		return fromFile(name, dir)
	default:
		return "", cdc.Failed("not a known reference").Fix("${env:NAME} or ${file:PATH}, or $${ for a literal ${")
	}
}

func fromEnv(name string) (string, *cdc.Problem) {
	value, ok := os.LookupEnv(name)
	if value != "" {
		return value, nil
	}
	what := "environment variable %s is not set"
	if ok {
		what = "environment variable %s is empty"
	}
	return "", cdc.Failed(what, Named(name)).Fix("%s", setVariable(name))
}

// shellVariable is what a shell can export.
var shellVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// setVariable is the command that sets a variable: a shell has no way to export one of another name.
func setVariable(name string) string {
	if !shellVariable.MatchString(name) {
		return "env " + cdc.ShellWord(name+"=VALUE") + " in front of the command"
	}
	return "export " + name + "=VALUE"
}

func fromFile(name, dir string) (string, *cdc.Problem) {
	path := inFolder(dir, name)
	data, err := readLimited(path, maxSecret)
	if err != nil {
		return "", cdc.Failed("file %s: %v", Named(path), cause(err)).Fix("%s", tryFile(path, cdc.ShellWord(path), err))
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", cdc.Failed("file %s is empty", Named(path)).Fix("write the value into it")
	}
	return value, nil
}

// inFolder is where a path of a config leads: a relative one starts at the config's folder.
func inFolder(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// tryFile is the way out of an error of readLimited; shown is the path for a shell, as far as it may be printed.
func tryFile(path, shown string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create it, or correct the path: a relative one starts at the config's folder"
	case errors.Is(err, fs.ErrPermission):
		return tryReadable(path, shown)
	default: // another kind of file, or a larger one
		return "name a plain file that holds this alone"
	}
}

// tryReadable is the way out of a file that this process may not read.
func tryReadable(path, shown string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "let the user that runs dirtbike enter its folders: chmod a+x for each of them"
	}
	if of, is := info.Sys().(*syscall.Stat_t); is && int(of.Uid) != os.Geteuid() {
		return fmt.Sprintf("chown %d %s", os.Geteuid(), shown)
	}
	return "chmod u+r " + shown
}

// readLimited reads a regular file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return readAtMost(path, limit)
}

// pipeSilence is for how long a pipe may give nothing before it is refused.
const pipeSilence = 10 * time.Second

// readAtMost reads anything that can be opened, also a pipe or a device, but at most one byte beyond limit. Opening a
// pipe does not wait for a writer; reading waits for one that has it open, for pipeSilence in all.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	_ = f.SetReadDeadline(time.Now().Add(pipeSilence)) // files that never wait refuse it
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("its writer did not end within %s", pipeSilence)}
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && len(data) == 0 && info.Mode()&os.ModeNamedPipe != 0 {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("a pipe that nothing comes out of")}
	}
	if int64(len(data)) > limit {
		return nil, &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d KiB", limit>>10)}
	}
	return data, nil
}

// Named is a path or another name as an error shows it: quoted where it would not stay on its line, or not be seen.
func Named(path string) string {
	if path == "" || strings.ContainsFunc(path, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}

// cause strips the operation and the path from an error of package os: the caller names the path once.
func cause(err error) error {
	var withPath *os.PathError
	if errors.As(err, &withPath) {
		return withPath.Err
	}
	return err
}
