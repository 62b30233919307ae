package rules

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/endpoints"
	"dirtbike/cmd/internal/status"
	"dirtbike/docker/embedded"
)

// binaryDir holds the binary that the tests share.
var binaryDir string

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(run(m))
}

// run runs the tests, then removes what they built.
func run(m *testing.M) int {
	var err error
	if binaryDir, err = os.MkdirTemp("", "rules"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(binaryDir) }()
	return m.Run()
}

// buildCommand is how the documents build the binary.
const buildCommand = "go build -o dirtbike ./cmd/dirtbike"

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaryDir, "dirtbike")
	args := strings.Fields(buildCommand)
	args[3] = path
	_, err := output(args[0], args[1:]...)
	return path, err
})

// binary builds dirtbike as the documents say, once.
func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	return path
}

// shellChecks say for the beginning of a command how the rest is checked. A command that has none fails.
var shellChecks = []struct {
	prefix string
	check  func(t *testing.T, rest string)
}{
	{buildCommand, func(t *testing.T, rest string) { require.Empty(t, rest); binary(t) }},
	{"go run ./cmd/dirtbike ", checkVerb},
	{"./dirtbike ", checkVerb},
	{"go test ", checkGoTest},
	{"curl -fsS http://127.0.0.1:8085", checkEndpoint},
	{"curl -sS 'http://127.0.0.1:8085", checkEndpoint},
	{"python3 -m venv ", func(t *testing.T, rest string) { require.Equal(t, ".venv", rest) }},
	{".venv/bin/pip install ", checkRequirement},
	{"sh docker/secrets.sh", func(t *testing.T, rest string) { // what it does is tested in cmd/internal/image
		require.Empty(t, rest)
		require.FileExists(t, filepath.Join(root, "docker", "secrets.sh"))
	}},
	{"docker compose -f docker/compose.yaml ", checkCompose},
}

// checkOf finds the check of a command line.
func checkOf(line string) (check func(t *testing.T, rest string), rest string, err error) {
	for _, c := range shellChecks {
		if rest, ok := strings.CutPrefix(line, c.prefix); ok {
			return c.check, strings.TrimSpace(rest), nil
		}
	}
	return nil, "", fmt.Errorf("nothing checks the command %q", line)
}

// TestDocumentsShell runs what a command's check says over every line of every shell block.
func TestDocumentsShell(t *testing.T) {
	for _, b := range blocksOf(t, "sh") {
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			t.Run(line, func(t *testing.T) {
				check, rest, err := checkOf(line)
				require.NoError(t, err, b.at())
				check(t, rest)
			})
		}
	}
}

func TestUncheckedCommandsAreFound(t *testing.T) {
	for _, line := range []string{"rm -rf x", "dirtbike demo", "go vet ./..."} {
		_, _, err := checkOf(line)
		require.Error(t, err, line)
	}
	require.Error(t, verbError(t.Context(), binary(t), "demo --no-such-flag"))
	require.Error(t, verbError(t.Context(), binary(t), "nosuchverb"))
	require.NoError(t, verbError(t.Context(), binary(t), "version --log-level info"))
}

func checkVerb(t *testing.T, args string) {
	require.NoError(t, verbError(t.Context(), binary(t), args))
}

// verbError lets the binary parse a command line, verb and flags with their values, without doing what it says: --help
// is read after the flags have been parsed.
func verbError(ctx context.Context, binary, args string) error {
	fields := append(strings.Fields(args), "--help")
	out, err := exec.CommandContext(ctx, binary, fields...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("dirtbike %s: %w: %s", args, err, out)
	}
	if !bytes.Contains(out, []byte("Usage:\n  dirtbike "+fields[0])) { // an unknown verb shows the help of the root
		return fmt.Errorf("dirtbike has no verb %s", fields[0])
	}
	return nil
}

// checkGoTest checks flags and packages; the tests themselves run anyway, or take long.
func checkGoTest(t *testing.T, args string) {
	for fields := strings.Fields(args); len(fields) > 0; {
		switch fields[0] {
		case "-run", "-bench", "-kills", "-timeout", "-runs":
			fields = fields[2:]
		default:
			out, err := output("go", "list", fields[0])
			require.NoError(t, err)
			require.NotEmpty(t, out)
			fields = fields[1:]
		}
	}
}

// checkEndpoint asks a health server of the test's own, at the default's path.
func checkEndpoint(t *testing.T, target string) {
	_, err := url.Parse(target)
	require.NoError(t, err)
	status := func(context.Context) (status.Status, error) { return status.Status{}, nil }
	server, err := endpoints.New("127.0.0.1:0", nil, status, prometheus.NewRegistry())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr()+target, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
}

// checkCompose checks the subcommand's flags by a list, that a service is there, and what is executed in it. No Docker
// is needed.
func checkCompose(t *testing.T, args string) {
	known := map[string][]string{
		"up": {"--build", "--wait"}, "down": {"--volumes"}, "logs": {"dirtbike"}, "stop": {"dirtbike"}, "start": {"dirtbike"},
		"exec": {"dirtbike"}, "run": {"--rm", "--no-deps", "dirtbike"},
	}
	fields := strings.Fields(args)
	require.Contains(t, known, fields[0])
	if fields[0] == "exec" {
		require.Equal(t, "dirtbike", fields[2])
		require.NoError(t, verbError(t.Context(), binary(t), strings.Join(fields[3:], " ")))
		fields = fields[:2]
	}
	if fields[0] == "run" { // the image's entrypoint is dirtbike: see TestComposeRunsAnyVerb in cmd/internal/image
		at := slices.Index(fields, "dirtbike")
		require.Positive(t, at)
		require.NoError(t, verbError(t.Context(), binary(t), strings.Join(fields[at+1:], " ")))
		fields = fields[:at+1]
	}
	for _, field := range fields[1:] {
		require.Contains(t, known[fields[0]], field)
	}
	text, err := os.ReadFile(filepath.Join(root, "docker", "compose.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "\n  dirtbike:\n")
}

// checkRequirement compares what the documents install with what the CI installs.
func checkRequirement(t *testing.T, requirement string) {
	ci, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	require.NoError(t, err)
	require.Contains(t, string(ci), "pip install --quiet --disable-pip-version-check "+requirement)
}
