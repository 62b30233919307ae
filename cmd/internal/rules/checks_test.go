package rules

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/checks"
)

// checkFaults lists what is wrong with the entries on checks, given the page that must have their anchors.
func checkFaults(all []checks.Check, page string) []string {
	var faults []string
	fault := func(c checks.Check, format string, args ...any) {
		faults = append(faults, "check "+c.Slug+": "+fmt.Sprintf(format, args...))
	}
	seen := map[string]bool{}
	for _, c := range all {
		if !regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`).MatchString(c.Slug) {
			fault(c, "a slug has lower-case letters, digits and dashes")
		}
		if seen[c.Slug] {
			fault(c, "stands twice")
		}
		seen[c.Slug] = true
		for name, text := range map[string]string{"Meaning": c.Meaning, "Safe": c.Safe, "Do": c.Do} {
			if !strings.HasSuffix(text, ".") || strings.Contains(text, "\n") {
				fault(c, "%s is no sentence on one line: %q", name, text)
			}
		}
		_, anchor, _ := strings.Cut(c.Anchor(), "#")
		if anchors(page)[anchor] != 1 {
			fault(c, "README.md has no heading for #%s", anchor)
		}
	}
	return faults
}

// anchors counts the anchors that a page's headings have on GitHub: lower case, without punctuation, dashes for spaces.
func anchors(page string) map[string]int {
	all := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		text := regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(text, " ", "-")]++
	}
	return all
}

// commands are the command lines of dirtbike in a text.
func commands(text string) (all []string) {
	for _, m := range regexp.MustCompile("`dirtbike ([^`]+)`").FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestChecksAreExplained(t *testing.T) {
	require.Empty(t, checkFaults(checks.All(), document(t, "README.md").text))
	require.NotEmpty(t, checks.Ready)
}

// TestChecksNameCommandsThatExist: verbs and flags of what to do are those of the binary.
func TestChecksNameCommandsThatExist(t *testing.T) {
	named := 0
	for _, c := range checks.All() {
		for _, line := range commands(c.Meaning + " " + c.Safe + " " + c.Do) {
			require.NoError(t, verbError(t.Context(), binary(t), line), "check %s", c.Slug)
			named++
		}
	}
	require.NotZero(t, named)
}

func TestCheckFaultsAreFound(t *testing.T) {
	good := checks.Check{Slug: "slot", Meaning: "A.", Safe: "B.", Do: "Run `dirtbike status --json` and `dirtbike wait`."}
	page := "## One's two: three\n#### check-slot\n"
	require.Empty(t, checkFaults([]checks.Check{good}, page))
	require.Equal(t, map[string]int{"ones-two-three": 1, "check-slot": 1}, anchors(page))
	require.Equal(t, []string{"status --json", "wait"}, commands(good.Do))
	require.Len(t, checkFaults([]checks.Check{good, good}, page), 1)
	require.Len(t, checkFaults([]checks.Check{good}, "check-slot\n"), 1)
	for _, change := range []func(*checks.Check){
		func(c *checks.Check) { c.Do = "" },
		func(c *checks.Check) { c.Safe = "two\nlines." },
		func(c *checks.Check) { c.Slug = "Slot" }, // and no anchor
	} {
		c := good
		change(&c)
		require.NotEmpty(t, checkFaults([]checks.Check{c}, page))
	}
}
