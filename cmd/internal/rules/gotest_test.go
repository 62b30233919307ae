package rules

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	// goTest matches a command in a document: the rest of the line, or of the inline code.
	goTest   = regexp.MustCompile("go test ([^`\n]+)")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	// testName matches a test that a document names in inline code, with a subtest or without.
	testName = regexp.MustCompile("`(?:-run )?((?:Test|Fuzz)[A-Z]\\w+)(?:/[^`]*)?`")
)

// testsOf lists the tests in the folder of a package pattern.
func testsOf(all []source, pattern string) []string {
	folder, below := strings.CutSuffix(path.Clean(pattern), "...")
	folder = strings.TrimSuffix(folder, "/")
	var names []string
	for _, f := range all {
		in := path.Dir(f.path) == folder || below && (folder == "" || strings.HasPrefix(f.path, folder+"/"))
		if in && strings.HasSuffix(f.path, "_test.go") {
			for _, m := range testFunc.FindAllStringSubmatch(f.text, -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// goTestFaults lists what is wrong with the arguments of a `go test` in a document: packages without tests, and
// alternatives of -run that match none.
func goTestFaults(all []source, arguments string) (faults []string) {
	var names, patterns []string
	fields := strings.Fields(strings.NewReplacer(`\|`, "|", "'", "").Replace(arguments))
	for i, field := range fields {
		switch {
		case strings.HasPrefix(field, "./"):
			found := testsOf(all, field)
			if len(found) == 0 {
				faults = append(faults, "no tests in "+field)
			}
			names = append(names, found...)
		case i > 0 && fields[i-1] == "-run":
			patterns = strings.Split(field, "|")
		}
	}
	for _, p := range patterns {
		top, _, _ := strings.Cut(p, "/")
		if !matchesAny(top, names) {
			faults = append(faults, "no test matches "+p)
		}
	}
	return faults
}

func matchesAny(pattern string, names []string) bool {
	for _, name := range names {
		if regexp.MustCompile(pattern).MatchString(name) {
			return true
		}
	}
	return false
}

// documentTestFaults lists the tests that documents name and that there are not.
func documentTestFaults(docs, all []source) []string {
	var faults []string
	for _, doc := range docs {
		for _, m := range goTest.FindAllStringSubmatch(doc.text, -1) {
			for _, fault := range goTestFaults(all, m[1]) {
				faults = append(faults, fmt.Sprintf("%s: go test %s: %s", doc.path, m[1], fault))
			}
		}
		for _, m := range testName.FindAllStringSubmatch(doc.text, -1) {
			if !matchesAny("^"+m[1]+"$", testsOf(all, "./...")) {
				faults = append(faults, fmt.Sprintf("%s: there is no %s", doc.path, m[1]))
			}
		}
	}
	return faults
}

// TestDocumentsNameTestsThatExist: a promise whose test was renamed or removed is found.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	require.Empty(t, documentTestFaults(documents(t), tree(t)))
}

func TestMissingTestsAreFound(t *testing.T) {
	all := []source{{"cdc/a_test.go", "func TestA(t *testing.T) {\n"}, {"cdc/x/b_test.go", "func FuzzB(f *testing.F) {\n"}}
	for text, faults := range map[string]int{
		"`go test ./cdc`": 0, "`go test ./cdc -run TestA`": 0, "`go test ./cdc/... -run 'TestA\\|FuzzB' -timeout 60m`": 0, "`TestA` and `FuzzB/x y`": 0,
		"`go test ./cdc -run FuzzB`": 1, "`go test ./gone`": 1, "`TestGone`": 1, "go test ./cdc -run TestA|TestB\n": 1,
	} {
		require.Len(t, documentTestFaults([]source{{"a.md", text}}, all), faults, text)
	}
}
