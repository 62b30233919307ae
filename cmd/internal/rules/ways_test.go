package rules

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/checks"
)

// waysFile lists every way out that the code can print, one a line: package, kind, evidence, template. The kinds:
//
//	applied  the test that is named does what it says and sees the trouble gone. It, or a function that it calls, has
//	         the words of the way out, or reads ways out of errors or of what is printed
//	done     the test that is named does it and sees the trouble gone, without reading the words
//	said     the test that is named sees it said where it belongs; it is a decision, or is done outside of dirtbike
//	passes   it passes on what another line, or the function that is named, says
//	named    it names a key, a verb or a flag, which exist; what value is right only the reader knows
//	person   what a person has to find out or do elsewhere; the evidence says why it is no command
//
// The lines are sorted.
const waysFile = "testdata/ways.txt"

// way is one line of the file.
type way struct{ pkg, kind, evidence, template string }

func (w way) at() string { return w.pkg + ": " + w.template }

// wayCalls are the calls that add a way out, with the place of its template among their arguments.
var wayCalls = map[string]int{"Fix": 0, "fix": 0, "OrFix": 0, "Then": 0, "FixBy": 1}

// checksFolder is where the commands are that `dirtbike check` prints.
const checksFolder = "cmd/internal/preflight"

// waysOut finds every template outside tests: of the calls, of literals of cdc.Remedy, in texts after ". Try", and the
// commands of checks.
func waysOut(all []source) (found []way, err error) {
	err = goFiles(all, false, func(f source, _ *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			template := wayIn(n)
			if template == "" && path.Dir(f.path) == checksFolder {
				template = commandIn(n)
			}
			if template != "" {
				found = append(found, way{pkg: path.Dir(f.path), template: template})
			}
			return true
		})
	})
	slices.SortFunc(found, func(a, b way) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.template, b.template)) })
	return slices.Compact(found), err
}

func wayIn(n ast.Node) string {
	switch n := n.(type) {
	case *ast.CallExpr:
		of, is := n.Fun.(*ast.SelectorExpr)
		if !is {
			return ""
		}
		at, is := wayCalls[of.Sel.Name]
		if !is || len(n.Args) <= at {
			return ""
		}
		template := templateOf(n.Args[at])
		if template == "%s" && len(n.Args) > at+1 {
			template = "%s = " + templateOf(n.Args[at+1])
		}
		return template
	case *ast.BasicLit:
		text, err := strconv.Unquote(n.Value)
		if _, after, is := strings.Cut(text, ". Try"); is && n.Kind == token.STRING && err == nil {
			after, _, _ = strings.Cut(after, "\n")
			return "Try" + strings.TrimRight(after, " ")
		}
	case *ast.CompositeLit:
		if of, is := n.Type.(*ast.SelectorExpr); is && of.Sel.Name == "Remedy" {
			for _, e := range n.Elts {
				if kv, is := e.(*ast.KeyValueExpr); is && templateOf(kv.Key) == "{Command}" {
					return templateOf(kv.Value)
				}
			}
		}
	}
	return ""
}

// commandIn gives the command of a check: the third argument of fail and warn, or what is set in a question.
func commandIn(n ast.Node) string {
	switch n := n.(type) {
	case *ast.CallExpr:
		of, is := n.Fun.(*ast.SelectorExpr)
		if is && (of.Sel.Name == "fail" || of.Sel.Name == "warn") && len(n.Args) > 3 {
			return templateOf(n.Args[2])
		}
	case *ast.KeyValueExpr:
		if key, is := n.Key.(*ast.Ident); is && key.Name == "command" {
			return templateOf(n.Value)
		}
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			if name := templateOf(to); name == "{command}" && len(n.Rhs) > i {
				return templateOf(n.Rhs[i])
			}
		}
	}
	return ""
}

func literal(n *ast.BasicLit) string {
	text, err := strconv.Unquote(n.Value)
	if n.Kind != token.STRING || err != nil {
		return ""
	}
	return strings.ReplaceAll(text, "\n", " ")
}

// templateOf writes an expression as a template: what is not written out is named in braces.
func templateOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return literal(e)
	case *ast.BinaryExpr:
		return templateOf(e.X) + templateOf(e.Y)
	case *ast.SelectorExpr:
		return "{" + e.Sel.Name + "}"
	case *ast.Ident:
		return "{" + e.Name + "}"
	case *ast.CallExpr:
		return strings.TrimSuffix(templateOf(e.Fun), "}") + "()}"
	}
	return "{}"
}

// readWays reads the file.
func readWays(t *testing.T) (listed []way) {
	t.Helper()
	text, err := os.ReadFile(waysFile)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " | ", 4)
		require.Len(t, fields, 4, line)
		listed = append(listed, way{fields[0], fields[1], fields[2], fields[3]})
	}
	return listed
}

// TestWaysOut: the list is closed. A new way out needs a line that says which test applies it, or why none can.
func TestWaysOut(t *testing.T) {
	found, err := waysOut(tree(t))
	require.NoError(t, err)
	listed := readWays(t)
	in := func(ways []way, w way) bool {
		return slices.ContainsFunc(ways, func(o way) bool { return o.pkg == w.pkg && o.template == w.template })
	}
	var missing, gone []string
	for _, w := range found {
		if !in(listed, w) {
			missing = append(missing, w.pkg+" | ? | ? | "+w.template)
		}
	}
	for _, w := range listed {
		if !in(found, w) {
			gone = append(gone, w.at())
		}
	}
	require.Empty(t, missing, "not in %s:\n%s", waysFile, strings.Join(missing, "\n"))
	require.Empty(t, gone, "no longer in the code")
	require.True(t, slices.IsSortedFunc(listed, func(a, b way) int { return cmp.Compare(a.line(), b.line()) }), "the lines are not sorted")
	tests := testsNamed(t)
	var faults []string
	for _, w := range listed {
		if err := w.judge(tests); err != nil {
			faults = append(faults, w.at()+": "+err.Error())
		}
	}
	require.Empty(t, faults, strings.Join(faults, "\n"))
}

func (w way) line() string { return w.pkg + " | " + w.kind + " | " + w.evidence + " | " + w.template }

// testText is a test, with the functions of its package's tests that it calls.
type testText string

var (
	// variable is what a template leaves open.
	variable = regexp.MustCompile(`%(?:\[\d\])?[a-z%]|\{[^}]*\}`)
	// readsWays is how tests read ways out of errors, or out of what is printed.
	readsWays = regexp.MustCompile(`\.(?:Try|Fix|Command|Remedies)\b|Try: `)
	// calls are the functions that a test calls, or names in its table.
	calls = regexp.MustCompile(`\b([A-Za-z]\w*)\(|: (\w+),`)
)

// words are the longest part of a template that is fixed, empty if it has fewer than 8 letters.
func (w way) words() string {
	longest := ""
	for _, part := range variable.Split(w.template, -1) {
		if part = strings.TrimSpace(part); len(part) > len(longest) {
			longest = part
		}
	}
	if len(regexp.MustCompile(`[A-Za-z]`).FindAllString(longest, -1)) < 8 {
		return ""
	}
	return longest
}

// reads reports whether the test can have seen the way out.
func (t testText) reads(w way) bool {
	text := strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(string(t))
	return readsWays.MatchString(text) || w.words() != "" && strings.Contains(text, w.words())
}

// judge says what is wrong with a line.
func (w way) judge(tests map[string][]testText) error {
	switch w.kind {
	case "applied", "done", "said":
		read := false
		for name := range strings.SplitSeq(w.evidence, ",") {
			named := tests[strings.TrimSpace(name)]
			if len(named) == 0 {
				return fmt.Errorf("there is no test %s", name)
			}
			read = read || slices.ContainsFunc(named, func(t testText) bool { return t.reads(w) })
		}
		if w.kind == "applied" && !read {
			return fmt.Errorf("%s reads no way out, and does not have its words: let it, or call it done", w.evidence)
		}
	case "passes", "person":
		if len(w.evidence) < 3 {
			return fmt.Errorf("it does not say what it passes on, or why it is no command")
		}
	case "named":
		if len(keysIn(w.template)) == 0 && len(verbsIn(w.template)) == 0 && !strings.Contains(w.template, "--") {
			return fmt.Errorf("it names no key, verb or flag")
		}
	default:
		return fmt.Errorf("unknown kind %q", w.kind)
	}
	return nil
}

// testsNamed are the functions of all test files, tests and parts of them, each with those that it calls.
func testsNamed(t *testing.T) map[string][]testText {
	t.Helper()
	folders := map[string]map[string]string{}
	require.NoError(t, goFiles(tree(t), true, func(f source, set *token.FileSet, file *ast.File) {
		folder := path.Dir(f.path)
		if folders[folder] == nil {
			folders[folder] = map[string]string{}
		}
		for _, d := range file.Decls {
			if fn, is := d.(*ast.FuncDecl); is {
				folders[folder][fn.Name.Name] += f.text[set.Position(fn.Pos()).Offset:set.Position(fn.End()).Offset]
			}
		}
	}))
	named := map[string][]testText{}
	for _, functions := range folders {
		for name, text := range functions {
			named[name] = append(named[name], withCalled(text, functions))
		}
	}
	return named
}

// withCalled adds the functions that a function calls to it.
func withCalled(text string, functions map[string]string) testText {
	whole := text
	for _, m := range calls.FindAllStringSubmatch(text, -1) {
		whole += functions[cmp.Or(m[1], m[2])]
	}
	return testText(whole)
}

var (
	printedKey  = regexp.MustCompile(`\b(?:source|kafka|registry|clickhouse|privacy|ops|verify)(?:\.[a-z_]+)+`)
	printedVerb = regexp.MustCompile(`(?:^|[^/\w-])dirtbike ([a-z]+)((?: --[a-z-]+(?:[ =][^-,; ]\S*)?)*)`)
	printedFlag = regexp.MustCompile(`(?:^|[ (])--([a-z][a-z-]*)`)
	printedName = regexp.MustCompile(`dirtbike explain ([a-z-]+)`)
)

// keysIn are the keys of the config in a text; ops.pem and ops.key are files.
func keysIn(text string) []string {
	return slices.DeleteFunc(printedKey.FindAllString(text, -1), func(key string) bool { return key == "ops.pem" || key == "ops.key" })
}

// verbsIn are the command lines in a text, as far as they are verb and flags.
func verbsIn(text string) (lines []string) {
	for _, m := range printedVerb.FindAllStringSubmatch(text, -1) {
		if m[1] != "to" { // upgrade dirtbike to a release
			lines = append(lines, m[1]+strings.ReplaceAll(m[2], "%s", "x"))
		}
	}
	return lines
}

// TestWaysOutExist: verbs, flags, keys of the config and explanations that a way out names are there.
func TestWaysOutExist(t *testing.T) {
	found, err := waysOut(tree(t))
	require.NoError(t, err)
	known := schemaKeys(t)
	flags := allFlags(t)
	once := map[string]bool{}
	for _, w := range found {
		for _, key := range keysIn(w.template) {
			require.True(t, known[key], "%s: there is no key %s", w.at(), key)
		}
		for _, line := range verbsIn(w.template) {
			if verb, _, _ := strings.Cut(line, " "); once[line] || verb == "run" && strings.Contains(w.template, "go run") {
				continue
			}
			once[line] = true
			checkVerb(t, line)
		}
		for _, m := range printedName.FindAllStringSubmatch(w.template, -1) {
			_, is := checks.Find(m[1])
			require.True(t, is || m[1] == "config", "%s: nothing explains %s", w.at(), m[1])
		}
		if strings.Contains(w.template, "kafka-") || strings.Contains(w.template, "{kafkaTool()}") || strings.Contains(w.template, "curl ") || strings.HasPrefix(w.pkg, "docker/") && strings.Contains(w.template, "%[1]s") {
			continue // another program's flags
		}
		for _, m := range printedFlag.FindAllStringSubmatch(w.template, -1) {
			require.True(t, flags[m[1]], "%s: no verb has --%s", w.at(), m[1])
		}
	}
}

// schemaKeys are the config's keys, dotted.
func schemaKeys(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config", "dirtbike.schema.json"))
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(text, &schema))
	known := map[string]bool{}
	var walk func(at string, of any)
	walk = func(at string, of any) {
		node, _ := of.(map[string]any)
		if ref, is := node["$ref"].(string); is {
			var target any = schema
			for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				target = target.(map[string]any)[part]
			}
			walk(at, target)
		}
		for _, alternative := range []string{"anyOf", "oneOf", "allOf"} {
			all, _ := node[alternative].([]any)
			for _, one := range all {
				walk(at, one)
			}
		}
		properties, _ := node["properties"].(map[string]any)
		for name, inner := range properties {
			key := strings.TrimPrefix(at+"."+name, ".")
			known[key] = true
			walk(key, inner)
		}
	}
	walk("", schema)
	require.True(t, known["source.tables"])
	return known
}

// allFlags are the flags that some verb has.
func allFlags(t *testing.T) map[string]bool {
	t.Helper()
	flags := map[string]bool{"help": true}
	list, err := output(binary(t), "--help")
	require.NoError(t, err)
	_, verbs, found := strings.Cut(list, "Available Commands:\n")
	require.True(t, found)
	for line := range strings.Lines(verbs) {
		if strings.TrimSpace(line) == "" {
			break
		}
		help, err := output(binary(t), strings.Fields(line)[0], "--help")
		require.NoError(t, err)
		for _, m := range printedFlag.FindAllStringSubmatch(help, -1) {
			flags[m[1]] = true
		}
	}
	return flags
}

// TestWaysThatLeadNowhereAreFound: the rules can fail.
func TestWaysThatLeadNowhereAreFound(t *testing.T) {
	code := "package x\nfunc f() { p.Fix(\"dirtbike nosuchverb --all\"); g.FixBy(\"you\", \"set kafka.nosuchkey\"); e(\"bad. Try: that\"); _ = cdc.Remedy{Command: \"a\" + b} }"
	check := "package preflight\nfunc f() { p.warn(slug, name, \"GRANT it\", \"says\"); q := question{command: \"curl it\"}; q.bad, q.command = bad, \"mend it\"; p.warn(a, b) }"
	found, err := waysOut([]source{{"x/x.go", code}, {checksFolder + "/y.go", check}})
	require.NoError(t, err)
	var templates []string
	for _, w := range found {
		templates = append(templates, w.template)
	}
	require.Equal(t, []string{"GRANT it", "curl it", "mend it"}, templates[:3])
	templates = templates[3:]
	require.Equal(t, []string{"Try: that", "a{b}", "dirtbike nosuchverb --all", "set kafka.nosuchkey"}, templates)
	require.Equal(t, []string{"nosuchverb --all"}, verbsIn(templates[2]))
	require.Error(t, verbError(context.Background(), binary(t), verbsIn(templates[2])[0]))
	require.False(t, schemaKeys(t)[keysIn(templates[3])[0]])
	functions := map[string]string{
		"TestIs": "says(`restart the server of x`)", "TestReads": "helper()", "helper": "cdc.Explain(err).Try", "TestElse": "no way",
	}
	tests := map[string][]testText{}
	for name, text := range functions {
		tests[name] = []testText{withCalled(text, functions)}
	}
	for _, w := range []way{
		{kind: "applied", evidence: "TestNoSuch"}, {kind: "applied", evidence: "TestElse", template: "restart the server of %s"},
		{kind: "applied", evidence: "TestIs", template: "%s it"}, {kind: "person"}, {kind: "passes"}, {kind: "named", template: "look"}, {kind: "other"},
	} {
		require.Error(t, w.judge(tests), w.kind)
	}
	for _, w := range []way{
		{kind: "applied", evidence: "TestIs", template: "restart the server of %s"}, {kind: "applied", evidence: "TestReads, TestReads", template: "%s it"},
		{kind: "said", evidence: "TestElse"}, {kind: "done", evidence: "TestElse"},
	} {
		require.NoError(t, w.judge(tests), w.template)
	}
}
