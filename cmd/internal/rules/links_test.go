package rules

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// link matches a Markdown link: what it leads to, without the scheme's check.
var link = regexp.MustCompile(`\]\(([^) ]+)\)`)

// linkFaults lists the relative links of the documents that lead to no file, folder or heading.
func linkFaults(docs, all []source) []string {
	var faults []string
	for _, doc := range docs {
		for _, m := range link.FindAllStringSubmatch(doc.text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			switch name := resolve(doc.path, target); {
			case strings.Contains(m[1], "://"):
			case !exists(all, name):
				faults = append(faults, fmt.Sprintf("%s: %s: there is no %s", doc.path, m[1], name))
			case anchor != "" && !hasAnchor(docs, name, anchor):
				faults = append(faults, fmt.Sprintf("%s: %s: no heading has this anchor", doc.path, m[1]))
			}
		}
	}
	return faults
}

// resolve gives the path from the root of what a document links to; an empty target is the document itself.
func resolve(from, target string) string {
	if target == "" {
		return from
	}
	return path.Join(path.Dir(from), target)
}

// exists says whether name is a file of the project or a folder with files.
func exists(all []source, name string) bool {
	return slices.ContainsFunc(all, func(f source) bool { return f.path == name || strings.HasPrefix(f.path, name+"/") })
}

func hasAnchor(docs []source, name, anchor string) bool {
	at := slices.IndexFunc(docs, func(f source) bool { return f.path == name })
	return at >= 0 && anchors(docs[at].text)[anchor] > 0
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

// mention matches the name of a document in text that is no link, as `cdc/EXACTNESS.md, "Formats"` or
// `README.md#limits`.
var mention = regexp.MustCompile(`([\w./-]*\b[A-Z]{4,}\.md)(?:#([\w-]*\w)(?:[^\w-]|$)|, "([^"]+)")?`)

// mentionFaults lists the documents that code, comments and scripts name and that are not there, or lack the heading
// named. A path is from the root, also that of a package three folders deep, or from the file's folder; a bare name is
// enough where only one document has it.
func mentionFaults(docs, all []source) []string {
	var faults []string
	for _, f := range all {
		if strings.HasSuffix(f.path, ".md") {
			continue
		}
		for _, m := range mention.FindAllStringSubmatch(f.text, -1) {
			name := documentNamed(docs, f.path, m[1])
			anchor := m[2] + strings.ReplaceAll(strings.ToLower(m[3]), " ", "-")
			if name == "" {
				faults = append(faults, fmt.Sprintf("%s: %s: there is no such document", f.path, m[0]))
			} else if anchor != "" && !hasAnchor(docs, name, anchor) {
				faults = append(faults, fmt.Sprintf("%s: %s: %s has no such heading", f.path, m[0], name))
			}
		}
	}
	return faults
}

// documentNamed finds the document that a file means by name; empty if there is none, or more than one.
func documentNamed(docs []source, from, name string) string {
	var same []string
	for _, doc := range docs {
		if doc.path == strings.TrimPrefix(path.Clean(name), "../../../") || doc.path == path.Join(path.Dir(from), name) {
			return doc.path
		}
		if path.Base(doc.path) == name {
			same = append(same, doc.path)
		}
	}
	if len(same) != 1 {
		return ""
	}
	return same[0]
}

// notTheTests leaves out this package's tests, whose examples lead nowhere on purpose.
func notTheTests(all []source) []source {
	return slices.DeleteFunc(slices.Clone(all), func(f source) bool {
		return strings.HasPrefix(f.path, "cmd/internal/rules/") && strings.HasSuffix(f.path, "_test.go")
	})
}

func TestLinksLeadSomewhere(t *testing.T) {
	docs, all := documents(t), tree(t)
	require.Empty(t, linkFaults(docs, all))
	require.Empty(t, mentionFaults(docs, notTheTests(all)))
}

func TestLinksThatLeadNowhereAreFound(t *testing.T) {
	docs := []source{
		{"A.md", "# One's part\n[a](gone.md) [b](cdc/B.md#two) [c](https://example.com) [d](#ones-part) [e](cdc) [f](#three)"},
		{"cdc/BBBB.md", "[a](../A.md) [b](B.md)"},
	}
	all := append(slices.Clone(docs), source{"cdc/B.md", "x"}, source{"cdc/x.go", `// BBBB.md, cdc/BBBB.md and CCCC.md and BBBB.md, "Two"`})
	require.Len(t, linkFaults(docs, all), 3)
	require.Len(t, mentionFaults(docs, all), 2)
}

func TestAnchors(t *testing.T) {
	require.Equal(t, map[string]int{"ones-two-three": 1, "check-slot": 1}, anchors("## One's two: three\n#### check-slot\n"))
}
