package rules

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

	"dirtbike/config"
)

// block is a fenced block of a document: kind is what follows the fence.
type block struct {
	kind, text string
	path       string // of the document, from the root
	line       int
}

// at names the block's place.
func (b block) at() string { return fmt.Sprintf("%s:%d", b.path, b.line) }

// blocks finds the fenced blocks of a document.
func blocks(doc source) ([]block, error) {
	var all []block
	var open *block
	number := 0
	for line := range strings.Lines(doc.text) {
		number++
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{kind: strings.TrimSpace(kind), path: doc.path, line: number}
		case fence:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		return nil, fmt.Errorf("the block at %s has no end", open.at())
	}
	return all, nil
}

// kinds are the kinds of block that a test below checks.
var kinds = []string{"sh", "sql", "sql clickhouse", "python", "yaml", "text"}

// kindFaults lists the blocks that no test would check.
func kindFaults(all []block) []string {
	var faults []string
	for _, b := range all {
		if !slices.Contains(kinds, b.kind) {
			faults = append(faults, fmt.Sprintf("%s: no test checks blocks of kind %q. Try: %s", b.at(), b.kind, strings.Join(kinds, ", ")))
		}
		if b.kind == "text" && regexp.MustCompile(`(?m)^\s*(\$ |dirtbike |go |\./)`).MatchString(b.text) {
			faults = append(faults, fmt.Sprintf("%s: a command in a block of kind text. Try: sh", b.at()))
		}
	}
	return faults
}

// documents are the project's Markdown files, except those that tests compare with.
func documents(t *testing.T) []source {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(tree(t)), func(f source) bool {
		return filepath.Ext(f.path) != ".md" || strings.Contains(f.path, "testdata/")
	})
}

// document is the one document with this path.
func document(t *testing.T, path string) source {
	t.Helper()
	all := documents(t)
	at := slices.IndexFunc(all, func(f source) bool { return f.path == path })
	require.GreaterOrEqual(t, at, 0, "%s is missing", path)
	return all[at]
}

// blocksOf gives the documents' blocks of one kind; there is at least one of each.
func blocksOf(t *testing.T, kind string) []block {
	t.Helper()
	found := slices.DeleteFunc(allBlocks(t), func(b block) bool { return b.kind != kind })
	require.NotEmpty(t, found)
	return found
}

func allBlocks(t *testing.T) (found []block) {
	t.Helper()
	for _, doc := range documents(t) {
		all, err := blocks(doc)
		require.NoError(t, err)
		found = append(found, all...)
	}
	return found
}

func TestDocumentsHaveNoUncheckedBlock(t *testing.T) {
	require.Empty(t, kindFaults(allBlocks(t)))
}

func TestUncheckedBlocksAreFound(t *testing.T) {
	all, err := blocks(source{"a.md", "a\n```sh\nls\n```\n```toml\nx = 1\n```\n```\nplain\n```\n```text\n$ ls\n```\n"})
	require.NoError(t, err)
	require.Equal(t, block{"sh", "ls\n", "a.md", 2}, all[0])
	require.Len(t, kindFaults(all), 3)
	_, err = blocks(source{"a.md", "```sh\nls\n"})
	require.Error(t, err)
}

func TestDocumentsYAML(t *testing.T) {
	for _, b := range blocksOf(t, "yaml") {
		for _, m := range regexp.MustCompile(`\$\{env:(\w+)\}`).FindAllStringSubmatch(b.text, -1) {
			t.Setenv(m[1], "tq7Vx2Lm9ZrB4wKp-of-the-test")
		}
		dir := t.TempDir()
		for _, m := range regexp.MustCompile(`\$\{file:([^}]+)\}`).FindAllStringSubmatch(b.text, -1) {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, m[1])), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, m[1]), []byte("tq7Vx2Lm9ZrB4wKp-of-the-test"), 0o600))
		}
		_, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(b.text))
		require.NoError(t, err, b.at())
	}
}

// verbRow is a row of the table of verbs.
var verbRow = regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|")

// verbsDocument has the table of verbs, under the heading "Verbs".
const verbsDocument = "README.md"

// TestDocumentedVerbs compares the table of verbs with the binary's own list.
func TestDocumentedVerbs(t *testing.T) {
	_, section, found := strings.Cut(document(t, verbsDocument).text, "\n## Verbs\n")
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
