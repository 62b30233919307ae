package rules

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/checks"
)

// explainCommand matches a command that explains a check; one in capitals is a placeholder.
var explainCommand = regexp.MustCompile(`(?:dirtbike explain|"[^"]*\bsee check) ([a-z0-9-]+)`)

// printedDocument matches a string that sends the person who reads a message to a document, which not everybody has who
// has the binary.
var printedDocument = regexp.MustCompile(`"[^"]*(?:\bREADME|\bARCHITECTURE|[A-Z]{4,}\.md|config/\w+\.yaml)\b[^"]*"`)

// referenceFaults lists the explanations that a text refers to and that there are not, and for Go the documents that it
// prints.
func referenceFaults(all []source) []string {
	return matches(all, func(f source, line string) string {
		program := strings.HasSuffix(f.path, ".go")
		if !program && !strings.HasSuffix(f.path, ".md") || strings.HasSuffix(f.path, "_test.go") {
			return ""
		}
		for _, m := range explainCommand.FindAllStringSubmatch(line, -1) {
			if _, known := checks.Find(m[1]); !known && m[1] != "all" && m[1] != "config" {
				return m[0]
			}
		}
		if program && !strings.Contains(f.path, "/gen") && !strings.HasPrefix(strings.TrimSpace(line), "//") {
			return printedDocument.FindString(line)
		}
		return ""
	})
}

// TestReferencesAreExplained: `dirtbike explain` knows everything that messages and documents refer to.
func TestReferencesAreExplained(t *testing.T) {
	require.Empty(t, referenceFaults(tree(t)))
}

func TestReferenceFaultsAreFound(t *testing.T) {
	for text, faults := range map[string]int{
		`p.Fix("dirtbike explain slot")`:                   0,
		`p.Fix("dirtbike explain slots")`:                  1,
		`p.Fix("do it, and see check slot")`:               0,
		`p.Fix("do it, and see check slots")`:              1,
		`p.Fix("the grants in the README")`:                1,
		`// README.md has it: "see README"`:                0,
		`Short: "Explain", // dirtbike explain SLUG | all`: 0,
	} {
		require.Len(t, referenceFaults([]source{{"cmd/a.go", text}}), faults, text)
		require.Empty(t, referenceFaults([]source{{"cmd/a_test.go", text}}))
	}
	require.Len(t, referenceFaults([]source{{"README.md", "`dirtbike explain nothing`"}}), 1)
}

// commands are the command lines of dirtbike in a text.
func commands(text string) (all []string) {
	for _, m := range regexp.MustCompile("`dirtbike ([^`]+)`").FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestChecksNameCommandsThatExist: verbs and flags of what to do are those of the binary.
func TestChecksNameCommandsThatExist(t *testing.T) {
	named := 0
	for _, c := range checks.All() {
		for _, line := range append(commands(c.Meaning+" "+c.Safe+" "+c.Do), strings.TrimPrefix(c.Reference(), "dirtbike ")) {
			require.NoError(t, verbError(t.Context(), binary(t), line), "check %s", c.Slug)
			named++
		}
	}
	require.NotZero(t, named)
}

// TestChecksNameKeysThatExist: keys of the config that an explanation names are there.
func TestChecksNameKeysThatExist(t *testing.T) {
	known, named := schemaKeys(t), 0
	for _, c := range checks.All() {
		for _, key := range keysIn(c.Meaning + " " + c.Safe + " " + c.Do) {
			require.True(t, known[key], "check %s: there is no key %s", c.Slug, key)
			named++
		}
	}
	require.NotZero(t, named)
}
