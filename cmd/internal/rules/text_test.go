package rules

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// registryHosts match hosts of package registries. A fresh machine gets packages through its own clients' settings
// (mirrors, proxies), so the tree names none. The letters in brackets keep this list from finding itself.
var registryHosts = regexp.MustCompile(`(?i)registry\.[n]pmjs|registry\.[y]arnpkg|proxy\.[g]olang|sum\.[g]olang|` +
	`repo1?\.[m]aven|[m]aven\.apache\.org/maven2|[p]ypi\.org|[p]ythonhosted\.org|deb\.[d]ebian\.org|archive\.[u]buntu\.com`)

// hostFaults lists the mentions of registry hosts. go.sum is written by the go command.
func hostFaults(all []source) []string {
	return matches(all, func(f source, line string) string {
		if f.path == "go.sum" || f.path == ".ci/tools.sum" {
			return ""
		}
		return registryHosts.FindString(line)
	})
}

// checkoutFaults lists the mentions of the folder that this checkout happens to be in, but not those of longer paths
// that hold its path.
func checkoutFaults(all []source, checkout string) []string {
	mention := regexp.MustCompile(`(?:^|[^\w./-])` + regexp.QuoteMeta(checkout) + `(?:$|[^\w-])`)
	return matches(all, func(f source, line string) string {
		if f.path == "go.sum" || f.path == ".ci/tools.sum" || !mention.MatchString(line) {
			return ""
		}
		return checkout
	})
}

// sleepReason marks a sleep in a test that is no synchronisation: the reason follows on the line.
var (
	sleep       = regexp.MustCompile(`\btime\.Sleep[(]`)
	sleepReason = regexp.MustCompile(`\btime\.Sleep[(].*[)].* // \S`)
)

// sleepFaults lists sleeps in tests that give no reason: a test waits for signals, not for time.
func sleepFaults(all []source) []string {
	return matches(all, func(f source, line string) string {
		if !strings.HasSuffix(f.path, "_test.go") || sleepReason.MatchString(line) {
			return ""
		}
		return sleep.FindString(line)
	})
}

// slow matches what allocates per value; on the way of a row it costs a multiple of the row.
var slow = regexp.MustCompile(`map\[string\](any\b|interface[{])|"reflect"`)

// slowFaults lists untyped maps and reflection in the packages that rows pass through. Schemas are read once a table,
// and may have properties of any type.
func slowFaults(all []source) []string {
	return matches(all, func(f source, line string) string {
		folder, _, _ := strings.Cut(f.path, "/")
		onTheWay := slices.Contains([]string{"cdc", "schemas", "sinks"}, folder) && strings.HasSuffix(f.path, ".go")
		if !onTheWay || strings.HasSuffix(f.path, "_test.go") || f.path == "schemas/avro/parse.go" {
			return ""
		}
		return slow.FindString(line)
	})
}

// mostColumns is how wide a comment is at most, with tabs as 4. The linter bounds code.
const mostColumns = 120

// wideFaults lists the comments that are wider.
func wideFaults(all []source) []string {
	return matches(all, func(f source, line string) string {
		text := strings.TrimLeft(line, "\t")
		width := 4*(len(line)-len(text)) + utf8.RuneCountInString(strings.TrimRight(text, "\n"))
		if !strings.HasSuffix(f.path, ".go") || !strings.HasPrefix(text, "// ") || width <= mostColumns {
			return ""
		}
		return fmt.Sprintf("a comment of %d columns", width)
	})
}

// matches lists, with its place, what find returns for each line.
func matches(all []source, find func(f source, line string) string) []string {
	var faults []string
	for _, f := range all {
		number := 0
		for line := range strings.Lines(f.text) {
			number++
			if what := find(f, line); what != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s", f.path, number, what))
			}
		}
	}
	return faults
}

func TestNoRegistryHosts(t *testing.T) {
	require.Empty(t, hostFaults(tree(t)))
}

func TestNoPathOfThisCheckout(t *testing.T) {
	checkout, err := filepath.Abs(root)
	require.NoError(t, err)
	require.Empty(t, checkoutFaults(tree(t), checkout))
}

func TestNoSleepInTests(t *testing.T) {
	sources := slices.DeleteFunc(slices.Clone(tree(t)), func(f source) bool { return f.path == "cmd/internal/rules/text_test.go" })
	require.Empty(t, sleepFaults(sources))
}

func TestRowsPassWithoutMapsAndReflection(t *testing.T) {
	require.Empty(t, slowFaults(tree(t)))
}

func TestCommentsFitTheScreen(t *testing.T) {
	require.Empty(t, wideFaults(tree(t)))
}

func TestTextFaultsAreFound(t *testing.T) {
	dot := "." // so that this file names no host
	hosts := []string{
		"https://registry" + dot + "npmjs" + dot + "org/x", "GOPROXY=proxy" + dot + "golang" + dot + "org",
		"repo1" + dot + "maven" + dot + "org", "pypi" + dot + "org", "http://deb" + dot + "debian" + dot + "org/debian",
	}
	for _, host := range hosts {
		require.Len(t, hostFaults([]source{{"docker/package-lock.json", "{\n" + host + "\n}"}}), 1, host)
		require.Empty(t, hostFaults([]source{{"go.sum", host}}), host)
	}
	require.Empty(t, hostFaults([]source{{"README.md", "npm, Maven and PyPI; registry:8081; github" + dot + "com"}}))

	require.Equal(t, []string{"a.go:2: /home/me/dirtbike"}, checkoutFaults([]source{{"a.go", "\n// /home/me/dirtbike/x"}}, "/home/me/dirtbike"))
	require.Empty(t, checkoutFaults([]source{{"a.go", "/var/cache/dirtbike, /dirtbike-demo"}}, "/dirtbike"))

	require.Len(t, sleepFaults([]source{{"a_test.go", "\ttime.Sleep(time.Second)\n"}}), 1)
	require.Empty(t, sleepFaults([]source{{"a_test.go", "\ttime.Sleep(time.Second) // the load is paced, nothing waits for it\n"}}))
	require.Empty(t, sleepFaults([]source{{"a.go", "\ttime.Sleep(time.Second)\n"}}))

	wide := "\t// " + strings.Repeat("ü", mostColumns-len("    // "))
	require.Empty(t, wideFaults([]source{{"a.go", wide + "\n"}, {"README.md", wide + "x"}, {"b.go", "x := 1 " + wide}}))
	require.Equal(t, []string{"a.go:1: a comment of 121 columns"}, wideFaults([]source{{"a.go", wide + "x\n"}}))

	require.Len(t, slowFaults([]source{{"cdc/a.go", "var row map[string]any\n"}, {"sinks/x/a.go", "import \"reflect\"\n"}}), 2)
	const untyped = "var m map[string]any\n"
	require.Empty(t, slowFaults([]source{{"config/a.go", untyped}, {"cdc/a_test.go", untyped}, {"cdc/b.go", "map[string]anyone\n"}}))
}
