package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// last gives the arguments of the last instruction of a name.
func last(all []instruction, name string) []string {
	for _, i := range slices.Backward(all) {
		if i.Name == name {
			return i.Args
		}
	}
	return nil
}

// pinned is an image with an exact version, its digest too where it is known.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)*(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?$`)

// imageFault says what is wrong with the name of an image; nil if it stays what it is.
func imageFault(image string) error {
	if !pinned.MatchString(image) {
		return fmt.Errorf("image %q is not pinned. Try: an exact version, and its digest", image)
	}
	return nil
}

// dockerfileFaults lists what the image must not be.
func dockerfileFaults(all []instruction) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	stages := 0
	for _, i := range all {
		switch i.Name {
		case "from":
			if stages++; i.Args[0] == "scratch" {
				continue
			}
			if err := imageFault(i.Args[0]); err != nil {
				fault("%v", err)
			}
		case "copy":
			if stages > 1 && i.from() == "" {
				fault("the image holds what was not built: %v", i.Args)
			}
		case "run":
			if stages > 1 {
				fault("the image has a shell: %v", i.Args)
			}
		case "add":
			fault("ADD fetches and unpacks. Try: COPY")
		}
	}
	user := strings.Join(last(all, "user"), " ")
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		fault("USER %q is no numeric user that is not root, which is all that Kubernetes can check", user)
	}
	if build := buildCommand(all); !strings.Contains(build, "CGO_ENABLED=0 ") || !strings.Contains(build, " -tags noembedded ") || !strings.Contains(build, " -trimpath ") {
		fault("the build %q makes no static binary", build)
	}
	if from := last(all, "from"); len(from) == 0 || from[0] != "scratch" {
		fault("the image holds more than the binary: FROM %v", from)
	}
	return faults
}

// buildCommand is how the Dockerfile builds the binary.
func buildCommand(all []instruction) string {
	for _, i := range all {
		if i.Name == "run" && strings.Contains(i.Args[0], "go build") {
			return i.Args[0]
		}
	}
	return ""
}

func TestDockerfile(t *testing.T) {
	all := dockerfile(t)
	require.Empty(t, dockerfileFaults(all))
	require.Equal(t, []string{"dirtbike"}, last(all, "entrypoint"))
	require.Equal(t, "run", last(all, "cmd")[0])
}

func TestDockerfileFaultsAreFound(t *testing.T) {
	good := read(t, "Dockerfile")
	for name, c := range map[string]struct{ from, to string }{
		"floating":    {"golang:1.26.8-bookworm", "golang:latest"},
		"no version":  {"golang:1.26.8-bookworm", "golang"},
		"major alone": {"golang:1.26.8-bookworm", "golang:1"},
		"root":        {"USER 65532:65532", "USER 0:0"},
		"named user":  {"USER 65532:65532", "USER nobody"},
		"no user":     {"USER 65532:65532\n", ""},
		"linked":      {"-tags noembedded ", ""},
		"cgo":         {"CGO_ENABLED=0 ", ""},
		"a system":    {"FROM scratch", "FROM debian:12.5"},
		"a shell":     {"WORKDIR /etc/dirtbike", "RUN true"},
		"context":     {"COPY --from=build /dirtbike", "COPY dirtbike"},
		"fetched":     {"COPY --from=build /dirtbike", "ADD https://example.com/dirtbike"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, c.from)
			path := filepath.Join(t.TempDir(), "Dockerfile")
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(good, c.from, c.to, 1)), 0o600))
			all, err := instructions(path)
			require.NoError(t, err)
			require.NotEmpty(t, dockerfileFaults(all))
		})
	}
	_, err := instructions(os.DevNull)
	require.Error(t, err)
	require.NoError(t, errors.Join(imageFault("a/b:1.2"), imageFault("a:v3.5.0@sha256:"+strings.Repeat("0", 64))))
	for _, image := range []string{"a", "a:latest", "a:1", "a:1-alpine", "a:1.2@sha256:00", ""} {
		require.Error(t, imageFault(image), image)
	}
}
