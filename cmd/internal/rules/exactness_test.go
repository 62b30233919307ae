package rules

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exactness is the document that numbers the rules of exactness.
const exactness = "cdc/EXACTNESS.md"

var (
	ruleHeading = regexp.MustCompile(`(?m)^#### (\d+)\. `)
	ruleMention = regexp.MustCompile(`\b[Rr]ules? (\d+(?:(?:, | and )\d+)*)`)
	ruleNumber  = regexp.MustCompile(`\d+`)
)

// ruleFaults lists the mentions of rules that the document does not have.
func ruleFaults(doc string, all []source) []string {
	known := map[string]bool{}
	for _, m := range ruleHeading.FindAllStringSubmatch(doc, -1) {
		known[m[1]] = true
	}
	var faults []string
	for _, f := range all {
		for _, m := range ruleMention.FindAllStringSubmatch(f.text, -1) {
			for _, number := range ruleNumber.FindAllString(m[1], -1) {
				if !known[number] {
					faults = append(faults, fmt.Sprintf("%s: %s: %s has no rule %s", f.path, m[0], exactness, number))
				}
			}
		}
	}
	return faults
}

// TestRulesAreNumbered: the rules are numbered without a gap, and code and documents mention no others.
func TestRulesAreNumbered(t *testing.T) {
	doc := document(t, exactness).text
	for i, m := range ruleHeading.FindAllStringSubmatch(doc, -1) {
		require.Equal(t, strconv.Itoa(i+1), m[1])
	}
	require.Empty(t, ruleFaults(doc, notTheTests(tree(t))))
}

func TestUnknownRulesAreFound(t *testing.T) {
	doc := "#### 1. A\n#### 2. B\n"
	require.Empty(t, ruleFaults(doc, []source{{"a.go", "rules 1 and 2, rule 1; Rule 2"}}))
	require.Len(t, ruleFaults(doc, []source{{"a.go", strings.Repeat("rules 1, 2 and 3 ", 2)}}), 2)
}
