package bench

import (
	"os"
	"os/exec"
	"testing"

	"dirtbike/docker/embedded"
)

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(m.Run())
}

// requireTools skips a test whose tools are missing, or fails it where everything must run.
func requireTools(t *testing.T, tools map[string]string) {
	t.Helper()
	for tool, install := range tools {
		_, err := exec.LookPath(tool)
		switch {
		case err == nil:
		case os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1":
			t.Fatalf("%s is missing: %s", tool, install)
		default:
			t.Skipf("%s is missing: %s", tool, install)
		}
	}
}

func small() Options {
	return Options{Pairs: 1, Rows: 20_000, Tries: 1, Rate: 100, For: 1e9, Kafka: "kfake"}
}
