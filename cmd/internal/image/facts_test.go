package image

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// dockerFacts builds the command that asks Docker's own code about our files, once.
var dockerFacts = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(built, "dockerfacts")
	out, err := exec.Command("go", "build", "-C", "testdata/dockerfacts", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build dockerfacts: %w: %s", err, out)
	}
	return binary, nil
})

// askDocker has the answer to a question of dockerfacts written into the value.
func askDocker(into any, question string, args ...string) error {
	binary, err := dockerFacts()
	if err != nil {
		return err
	}
	command := exec.Command(binary, append([]string{question}, args...)...)
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", question, strings.Join(args, " "), err, said.String())
	}
	return json.Unmarshal(out, into)
}

// project is a compose file as docker compose reads it, as far as the tests ask about it.
type project struct {
	Services map[string]service
	Secrets  map[string]struct{ File, Environment, Content string }
	Volumes  map[string]any
	// Dir is the folder at which relative paths start.
	Dir string `json:"-"`
}

type service struct {
	Build *struct{ Context, Dockerfile string }
	Image string
	User  string

	Privileged  bool
	NetworkMode string `json:"network_mode"`
	Pid, Ipc    string
	CapAdd      []string `json:"cap_add"`
	CapDrop     []string `json:"cap_drop"`
	Devices     []any
	SecurityOpt []string `json:"security_opt"`
	ReadOnly    bool     `json:"read_only"`

	Command, Entrypoint []string
	ContainerName       string `json:"container_name"`
	Environment         map[string]*string
	Secrets             []any
	Tmpfs               []string
	Volumes             []mount
	Ports               []struct {
		HostIP    string `json:"host_ip"`
		Published string
	}

	Restart     string
	HealthCheck *struct {
		Test    []string
		Disable bool
	}
	DependsOn map[string]struct{ Condition string } `json:"depends_on"`
}

type mount struct {
	Type, Source, Target string
	ReadOnly             bool `json:"read_only"`
}

// compose loads a compose file as docker compose does.
func compose(t *testing.T, path string) (*project, error) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "docker"))
	require.NoError(t, err)
	p := &project{Dir: dir}
	return p, askDocker(p, "compose", path, dir)
}

// stack is docker/compose.yaml.
func stack(t *testing.T) *project {
	t.Helper()
	p, err := compose(t, filepath.Join(root, "docker", "compose.yaml"))
	require.NoError(t, err)
	return p
}

// instruction is a line of a Dockerfile.
type instruction struct {
	Name  string   // in lower case
	Args  []string // of the exec form one each, else the whole text
	Flags []string // "--from=build"
}

// from is the stage that COPY takes from; empty for the build's context.
func (i instruction) from() string {
	for _, flag := range i.Flags {
		if from, ok := strings.CutPrefix(flag, "--from="); ok {
			return from
		}
	}
	return ""
}

// instructions parses a Dockerfile as BuildKit does.
func instructions(path string) (all []instruction, err error) {
	return all, askDocker(&all, "dockerfile", path)
}

// dockerfile is docker/Dockerfile.
func dockerfile(t *testing.T) []instruction {
	t.Helper()
	all, err := instructions(filepath.Join(root, "docker", "Dockerfile"))
	require.NoError(t, err)
	return all
}
