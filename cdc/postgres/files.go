package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"dirtbike/cdc"
)

// namedFiles are the parameters of an address whose value is a file's path, and the environment variables that stand
// for them.
var namedFiles = map[string]string{
	"sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslrootcert": "PGSSLROOTCERT", "passfile": "PGPASSFILE", "servicefile": "PGSERVICEFILE",
}

// mostFileBytes is what a certificate, a key or a list of passwords may have.
const mostFileBytes = 1 << 20

// checkFiles refuses an address whose files the client could not read to their end: it reads each as a whole, so that a
// pipe or a device would keep it for ever, and a large file would fill the memory.
func (l Login) checkFiles() error {
	for name, variable := range namedFiles {
		for _, path := range append(parameter(l.URL, name), os.Getenv(variable)) {
			if err := checkFile(path); err != nil {
				return cdc.Refused("the file that %s of %s names", name, l.key()).Because(err).Fix("a regular file of at most %d bytes", mostFileBytes)
			}
		}
	}
	return nil
}

// checkFile is good about a file that is not there: the client says so itself.
func checkFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case info.Size() > mostFileBytes:
		return fmt.Errorf("%s has %d bytes", path, info.Size())
	}
	return nil
}

// keyword is one setting of libpq's other form of an address: name = value, the value quoted if it has a space.
var keyword = regexp.MustCompile(`([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)`)

// parameter gives the values that an address has for a parameter, in either of libpq's forms.
func parameter(address, name string) (values []string) {
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		u, err := url.Parse(address)
		if err != nil {
			return nil
		}
		return u.Query()[name]
	}
	for _, m := range keyword.FindAllStringSubmatch(address, -1) {
		if m[1] == name {
			value := strings.TrimSuffix(strings.TrimPrefix(m[2], "'"), "'")
			values = append(values, strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(value))
		}
	}
	return values
}
