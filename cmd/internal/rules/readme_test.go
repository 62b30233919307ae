package rules

import (
	"errors"
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

	"dirtbike/config"
)

// block is a fenced block of the README: kind is what stands behind the fence.
type block struct {
	kind, text string
	line       int
}

// blocks finds the fenced blocks of a page.
func blocks(page string) ([]block, error) {
	var all []block
	var open *block
	number := 0
	for line := range strings.Lines(page) {
		number++
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{kind: strings.TrimSpace(kind), line: number}
		case fence:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		return nil, fmt.Errorf("the block in line %d has no end", open.line)
	}
	return all, nil
}

// kinds are the kinds of block that a test below looks at.
var kinds = []string{"sh", "sql", "sql clickhouse", "python", "yaml", "text"}

// kindFaults lists the blocks that nobody would look at.
func kindFaults(all []block) []string {
	var faults []string
	for _, b := range all {
		if !slices.Contains(kinds, b.kind) {
			faults = append(faults, fmt.Sprintf("README.md:%d: no test checks blocks of kind %q. Try: %s", b.line, b.kind, strings.Join(kinds, ", ")))
		}
		if b.kind == "text" && regexp.MustCompile(`(?m)^\s*(\$ |dirtbike |go |\./)`).MatchString(b.text) {
			faults = append(faults, fmt.Sprintf("README.md:%d: a command in a block of kind text. Try: sh", b.line))
		}
	}
	return faults
}

// readme gives the README's blocks of one kind; each kind stands there at least once.
func readme(t *testing.T, kind string) []block {
	t.Helper()
	all, err := blocks(readmeText(t))
	require.NoError(t, err)
	all = slices.DeleteFunc(all, func(b block) bool { return b.kind != kind })
	require.NotEmpty(t, all)
	return all
}

func readmeText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	return string(text)
}

func TestReadmeHasNoUncheckedBlock(t *testing.T) {
	all, err := blocks(readmeText(t))
	require.NoError(t, err)
	require.Empty(t, kindFaults(all))
}

func TestUncheckedBlocksAreFound(t *testing.T) {
	all, err := blocks("a\n```sh\nls\n```\n```toml\nx = 1\n```\n```\nplain\n```\n```text\n$ ls\n```\n")
	require.NoError(t, err)
	require.Equal(t, block{"sh", "ls\n", 2}, all[0])
	require.Len(t, kindFaults(all), 3)
	_, err = blocks("```sh\nls\n")
	require.Error(t, err)
}

// missingLinks lists the relative links of a page that lead nowhere.
func missingLinks(page string) []string {
	var faults []string
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, m[1])); errors.Is(err, os.ErrNotExist) {
			faults = append(faults, m[1])
		}
	}
	return faults
}

func TestReadmeLinksLeadSomewhere(t *testing.T) {
	require.Empty(t, missingLinks(readmeText(t)))
	require.Equal(t, []string{"gone.md"}, missingLinks("[a](gone.md) [b](README.md#part) [c](https://example.com)"))
}

func TestReadmeYAML(t *testing.T) {
	for _, b := range readme(t, "yaml") {
		for _, m := range regexp.MustCompile(`\$\{env:(\w+)\}`).FindAllStringSubmatch(b.text, -1) {
			t.Setenv(m[1], "of-the-test")
		}
		dir := t.TempDir()
		for _, m := range regexp.MustCompile(`\$\{file:([^}]+)\}`).FindAllStringSubmatch(b.text, -1) {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, m[1])), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, m[1]), []byte("of-the-test-of-the-README"), 0o600))
		}
		_, err := config.Parse(filepath.Join(dir, "README.md"), []byte(b.text))
		require.NoError(t, err, "README.md:%d", b.line)
	}
}

// verbRow is a row of the table of verbs.
var verbRow = regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|")

// TestReadmeVerbs compares the table of verbs with the binary's own list.
func TestReadmeVerbs(t *testing.T) {
	_, section, found := strings.Cut(readmeText(t), "\n## Verbs\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]bool{}
	for _, m := range verbRow.FindAllStringSubmatch(section, -1) {
		listed[m[1]] = true
	}
	help, err := exec.CommandContext(t.Context(), binary(t), "--help").Output()
	require.NoError(t, err)
	_, commands, found := strings.Cut(string(help), "Available Commands:\n")
	require.True(t, found, "%s", help)
	commands, _, _ = strings.Cut(commands, "\n\n")
	has := map[string]bool{}
	for line := range strings.Lines(commands) {
		if verb := strings.Fields(line)[0]; verb != "help" {
			has[verb] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(has)), slices.Sorted(maps.Keys(listed)))
}
