package image

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// mounts are the configs that compose.yaml mounts, each with the test that gives it to the program that it is for.
var mounts = map[string]string{
	"dirtbike.yaml":             "TestTheStackOfComposeIsAPipeline",
	"postgres/init.sql":         "TestTheStackOfComposeIsAPipeline",
	"clickhouse/users.xml":      "TestTheStackOfComposeIsAPipeline",
	"prometheus/prometheus.yml": "TestPrometheusConfig",
}

// composeFaults lists what a stack must not be.
func composeFaults(p *project) (faults []string) {
	for name, s := range p.Services {
		fault := func(format string, args ...any) { faults = append(faults, name+": "+fmt.Sprintf(format, args...)) }
		if s.Build == nil {
			if err := imageFault(s.Image); err != nil {
				fault("%v", err)
			}
		}
		if !regexp.MustCompile(`^[1-9]\d*:\d+$`).MatchString(s.User) {
			fault("user %q is not a numeric one that is not root", s.User)
		}
		if s.Privileged || s.NetworkMode == "host" || s.Pid != "" || s.Ipc != "" || len(s.CapAdd)+len(s.Devices) > 0 {
			fault("has more of the host than it needs")
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			fault("keeps capabilities, or can gain them")
		}
		if s.HealthCheck == nil || s.HealthCheck.Disable {
			fault("has no health check")
		}
		if s.Restart != "unless-stopped" {
			fault("does not come back")
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				fault("port %s is open to other hosts", port.Published)
			}
		}
		for key, value := range s.Environment {
			if value != nil && regexp.MustCompile(`(?i)(password|secret|token|key)$`).MatchString(key) {
				fault("%s is in the environment. Try: a secret", key)
			}
		}
		faults = append(faults, volumeFaults(p, name, s)...)
		faults = append(faults, dependencyFaults(p, name, s)...)
	}
	for name, s := range p.Secrets {
		if s.File == "" || s.Environment != "" || s.Content != "" {
			faults = append(faults, "secret "+name+": is no file")
		}
	}
	slices.Sort(faults)
	return faults
}

// volumeFaults checks the mounts: data in named volumes, configs that a test reads, nothing else of the host.
func volumeFaults(p *project, name string, s service) (faults []string) {
	for _, v := range s.Volumes {
		switch v.Type {
		case "volume":
			if _, declared := p.Volumes[v.Source]; !declared || v.Source == "" {
				faults = append(faults, name+": the volume at "+v.Target+" has no name, and is removed with the container")
			}
		case "bind":
			config, err := filepath.Rel(p.Dir, v.Source)
			if _, known := mounts[filepath.ToSlash(config)]; err != nil || !known {
				faults = append(faults, name+": no test reads the mounted "+v.Source)
			}
			if info, err := os.Stat(v.Source); err != nil || !info.Mode().IsRegular() || !v.ReadOnly {
				faults = append(faults, name+": "+v.Source+" is no file, or can be written")
			}
		default:
			faults = append(faults, name+": a mount of type "+v.Type)
		}
	}
	return faults
}

// dependencyFaults: what waits for another service waits until it is healthy.
func dependencyFaults(p *project, name string, s service) (faults []string) {
	for other, d := range s.DependsOn {
		if _, there := p.Services[other]; !there || d.Condition != "service_healthy" {
			faults = append(faults, name+": does not wait until "+other+" is healthy")
		}
	}
	return faults
}

func TestCompose(t *testing.T) {
	p := stack(t)
	require.Empty(t, composeFaults(p))
	require.Equal(t, []string{"clickhouse", "dirtbike", "kafka", "postgres", "prometheus", "registry"}, slices.Sorted(maps.Keys(p.Services)))
	for _, part := range []string{"postgres", "kafka", "registry", "clickhouse"} {
		require.Contains(t, p.Services["dirtbike"].DependsOn, part)
	}

	d := p.Services["dirtbike"]
	require.True(t, d.ReadOnly)
	require.Empty(t, d.Tmpfs, "it writes nothing, so it needs no place for it")
	require.Empty(t, d.Ports)
	require.Empty(t, d.Environment)
	require.Equal(t, []string{"CMD", "dirtbike", "status"}, d.HealthCheck.Test)
	all, err := instructions(filepath.Join(d.Build.Context, d.Build.Dockerfile))
	require.NoError(t, err)
	require.Equal(t, strings.Join(last(all, "user"), ""), d.User)
	require.Equal(t, fmt.Sprintf("%[1]d:%[1]d", imageUID), d.User)
	require.Equal(t, last(all, "workdir")[0]+"/dirtbike.yaml", d.Volumes[0].Target, "the verbs find it without --config")
}

// TestComposeRunsAnyVerb: what docker/README.md runs in a container of its own is the image's entrypoint and a verb,
// in addition to the one that captures, or instead of it: no container name and no port of the host conflicts, and
// config and secrets are the same.
func TestComposeRunsAnyVerb(t *testing.T) {
	d := stack(t).Services["dirtbike"]
	require.Empty(t, d.Entrypoint)
	require.Empty(t, d.Command)
	require.Empty(t, d.ContainerName)
	require.Empty(t, d.Ports)
	require.Len(t, d.Volumes, 1)
	require.Len(t, d.Secrets, 4)
	all := dockerfile(t)
	require.Equal(t, []string{"dirtbike"}, last(all, "entrypoint"))
	require.Equal(t, "run", last(all, "cmd")[0])
	text, err := os.ReadFile(filepath.Join(root, "docker", "README.md"))
	require.NoError(t, err)
	var verbs []string
	for _, m := range regexp.MustCompile(`(?m)^docker compose -f docker/compose\.yaml run --rm (?:--no-deps )?dirtbike (.*)$`).FindAllStringSubmatch(string(text), -1) {
		verbs = append(verbs, m[1])
		out, err := exec.CommandContext(t.Context(), binary(t), append(strings.Fields(m[1]), "--help")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "Usage:\n  dirtbike "+strings.Fields(m[1])[0])
	}
	require.Equal(t, []string{"check", "resnapshot --all"}, verbs)
}

func TestComposeFaultsAreFound(t *testing.T) {
	good := read(t, "compose.yaml")
	for name, c := range map[string]struct{ from, to string }{
		"floating image":   {"apicurio/apicurio-registry:3.0.9", "apicurio/apicurio-registry:latest"},
		"image by major":   {"postgres:18.4@sha256:a02db8cac496f15b094798a38254f14d6e00741f709360e5e00bb6668ea31636", "postgres:18"},
		"root":             {`user: "65532:65532"`, `user: "0:0"`},
		"default user":     {`user: "101:101"`, ``},
		"capabilities":     {"cap_drop: [ALL]", "cap_drop: []"},
		"privileges":       {"read_only: true", "privileged: true"},
		"host network":     {"read_only: true", "network_mode: host"},
		"any interface":    {`ports: ["127.0.0.1:5432:5432"]`, `ports: ["5432:5432"]`},
		"no health check":  {"healthcheck: {test: [CMD, dirtbike, status], ", "x-healthcheck: {test: [CMD, dirtbike, status], "},
		"started too soon": {"registry: {condition: service_healthy}", "registry: {condition: service_started}"},
		"password":         {"CLICKHOUSE_USER: dirtbike", "CLICKHOUSE_PASSWORD: dirtbike"},
		"writable config":  {"dirtbike.yaml:ro", "dirtbike.yaml"},
		"unknown config":   {"./clickhouse/users.xml:", "./secrets.sh:"},
		"missing config":   {"./clickhouse/users.xml:", "./clickhouse/none.xml:"},
		"no restart":       {"restart: unless-stopped", "restart: \"no\""},
		"nameless volume":  {"kafka:/var/lib/kafka/data", "/var/lib/kafka/data"},
		"secret in text":   {"{file: ./secrets/hash_key}", "{environment: HOME}"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, c.from)
			path := filepath.Join(t.TempDir(), "compose.yaml")
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(good, c.from, c.to, 1)), 0o600))
			p, err := compose(t, path)
			require.NoError(t, err)
			require.NotEmpty(t, composeFaults(p))
		})
	}
	path := filepath.Join(t.TempDir(), "compose.yaml")
	require.NoError(t, os.WriteFile(path, []byte(good+"no_such_key: {}\n"), 0o600))
	_, err := compose(t, path)
	require.Error(t, err, "the file's own form is checked")
}

// TestSecrets: the script makes every secret that compose.yaml names, readable by the containers' users, and never
// another one in the place of one that is there.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "secrets.sh")
	require.NoError(t, os.WriteFile(script, []byte(read(t, "secrets.sh")), 0o700))
	secrets := makeSecrets(t, script)
	p := stack(t)
	require.Len(t, secrets, len(p.Secrets))
	seen := map[string]bool{}
	for name := range p.Secrets {
		require.Regexp(t, `^[0-9a-f]{64}$`, secrets[name], name)
		require.False(t, seen[secrets[name]])
		seen[secrets[name]] = true
		info, err := os.Stat(filepath.Join(dir, "secrets", name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o444), info.Mode().Perm())
	}
	info, err := os.Stat(filepath.Join(dir, "secrets"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.Equal(t, secrets, makeSecrets(t, script))
	ignored, err := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "-C", root, "check-ignore", "docker/secrets/postgres").Output()
	require.NoError(t, err)
	require.Equal(t, "docker/secrets/postgres\n", string(ignored), "they are not committed")
}

// makeSecrets runs the script and gives each secret by its name.
func makeSecrets(t *testing.T, script string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
	entries, err := os.ReadDir(filepath.Join(filepath.Dir(script), "secrets"))
	require.NoError(t, err)
	all := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(script), "secrets", entry.Name()))
		require.NoError(t, err)
		all[entry.Name()] = string(text)
	}
	return all
}

// TestPrometheusConfig: Prometheus' own tool reads the config, with the token where compose.yaml puts it.
func TestPrometheusConfig(t *testing.T) {
	promtool := embeddedtest.Tool(t, "promtool")
	dir := t.TempDir()
	token := filepath.Join(dir, "ops_token")
	require.NoError(t, os.WriteFile(token, []byte("tq7Vx2Lm9ZrB4wKp"), 0o600))
	config := filepath.Join(dir, "prometheus.yml")
	text := read(t, "prometheus/prometheus.yml")
	require.Contains(t, text, "/run/secrets/ops_token")
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "/run/secrets/ops_token", token)), 0o600))
	out, err := exec.CommandContext(t.Context(), promtool, "check", "config", config).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "is valid prometheus config file syntax")
	require.Contains(t, text, `"dirtbike:8085"`, "the port of dirtbike.yaml's ops.listen")
	require.Contains(t, read(t, "dirtbike.yaml"), "listen: 0.0.0.0:8085\n")
}
