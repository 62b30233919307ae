package embeddedtest

import (
	"os"
	"os/exec"
	"testing"
)

// requireAll is the environment variable that is "1" where nothing may be skipped.
const requireAll = "DIRTBIKE_REQUIRE_ALL"

// installs says how to get the programs that tests need.
var installs = map[string]string{
	"git":            "apt-get install git",
	"go":             "install Go",
	"java":           "apt-get install openjdk-17-jre-headless",
	"javac":          "apt-get install openjdk-17-jdk-headless",
	"mvn":            "apt-get install maven",
	"npm":            "apt-get install npm",
	"pg_recvlogical": "apt-get install postgresql-client",
	"promtool":       "apt-get install prometheus",
	"python3":        "apt-get install python3",
	"sh":             "install a POSIX shell",
	"tar":            "apt-get install tar",
}

// Tools requires programs, by their names in PATH.
func Tools(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		Tool(t, name)
	}
}

// Tool gives the path of a program that the test needs.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		try := installs[name]
		if try == "" {
			try = "install " + name
		}
		Missing(t, name, try)
	}
	return path
}

// Missing skips a test for which something is missing, or fails it where everything must run. It does not return.
func Missing(t testing.TB, what, try string) {
	t.Helper()
	if os.Getenv(requireAll) == "1" {
		t.Fatalf("%s is missing. Try: %s", what, try)
	}
	t.Skipf("%s is missing. Try: %s", what, try)
}
