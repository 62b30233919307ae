package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bounds of functions outside tests, in lines from the word func to the closing brace.
const (
	mostLinesOfFunction   = 50
	medianLinesOfFunction = 10
)

// mostMethods is how many methods a type that once did everything has at most. The numbers may only go down.
var mostMethods = map[string]int{"sinks/clickhouse Loader": 29, "sinks/kafka Sink": 37}

// mostTextAssertions is how many assertions on the text of errors the tests have: those for which the text is a
// contract. All others compare kinds and fields of a cdc.Problem. The number may only go down.
const mostTextAssertions = 12

// function is one function or method outside tests.
type function struct {
	at    string // path:line name
	lines int
}

// goFiles parses the Go files; tests says which.
func goFiles(all []source, tests bool, visit func(f source, set *token.FileSet, file *ast.File)) error {
	for _, f := range all {
		if !strings.HasSuffix(f.path, ".go") || strings.HasSuffix(f.path, "_test.go") != tests {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, f.path, f.text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(f, set, file)
	}
	return nil
}

// functions lists the functions with a body.
func functions(all []source) (found []function, err error) {
	err = goFiles(all, false, func(f source, set *token.FileSet, file *ast.File) {
		for _, d := range file.Decls {
			if fn, is := d.(*ast.FuncDecl); is && fn.Body != nil {
				from, to := set.Position(fn.Pos()).Line, set.Position(fn.End()).Line
				found = append(found, function{fmt.Sprintf("%s:%d %s", f.path, from, fn.Name.Name), to - from + 1})
			}
		}
	})
	return found, err
}

// functionFaults lists the functions that are too long, and says if most are.
func functionFaults(all []source) ([]string, error) {
	found, err := functions(all)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var faults []string
	lengths := make([]int, len(found))
	for i, f := range found {
		if lengths[i] = f.lines; f.lines > mostLinesOfFunction {
			faults = append(faults, fmt.Sprintf("%s: %d lines, more than %d", f.at, f.lines, mostLinesOfFunction))
		}
	}
	slices.Sort(lengths)
	if median := lengths[len(lengths)/2]; median > medianLinesOfFunction {
		faults = append(faults, fmt.Sprintf("the median function has %d lines, more than %d", median, medianLinesOfFunction))
	}
	return faults, nil
}

// methodFaults lists the types of mostMethods that have more.
func methodFaults(all []source) (faults []string, err error) {
	methods := map[string]int{} // by folder and type
	err = goFiles(all, false, func(f source, _ *token.FileSet, file *ast.File) {
		for _, d := range file.Decls {
			if fn, is := d.(*ast.FuncDecl); is && fn.Recv != nil {
				methods[path.Dir(f.path)+" "+receiver(fn.Recv.List[0].Type)]++
			}
		}
	})
	for of, most := range mostMethods {
		if n := methods[of]; n > most {
			faults = append(faults, fmt.Sprintf("%s: %d methods, more than %d", of, n, most))
		}
	}
	return faults, err
}

// whole is the type that no helper may take: each is given what it needs.
const whole = "sinks/clickhouse Loader"

// wholeFaults lists the fields and parameters that have the whole of it.
func wholeFaults(all []source) (faults []string, err error) {
	err = goFiles(all, false, func(f source, set *token.FileSet, file *ast.File) {
		look := func(list *ast.FieldList) {
			for _, field := range list.List {
				if path.Dir(f.path)+" "+receiver(field.Type) == whole {
					faults = append(faults, fmt.Sprintf("%s: a helper has a whole loader", set.Position(field.Pos())))
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				look(n.Fields)
			case *ast.FuncType:
				look(n.Params)
			}
			return true
		})
	})
	return faults, err
}

// receiver names the type of a method.
func receiver(e ast.Expr) string {
	if star, is := e.(*ast.StarExpr); is {
		e = star.X
	}
	if name, is := e.(*ast.Ident); is {
		return name.Name
	}
	return "" // of a generic type
}

// textAssertions lists the assertions on the text of errors in tests. That a text does not hold something is none: that
// is how tests show that no secret or row value is printed.
func textAssertions(all []source) (found []string, err error) {
	err = goFiles(all, true, func(f source, set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is && assertsText(call) {
				found = append(found, fmt.Sprintf("%s:%d", f.path, set.Position(call.Pos()).Line))
			}
			return true
		})
	})
	return found, err
}

// assertsText reports whether a call of package require or assert compares the text of an error.
func assertsText(call *ast.CallExpr) bool {
	fn, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return false
	}
	if pkg, is := fn.X.(*ast.Ident); !is || pkg.Name != "require" && pkg.Name != "assert" || strings.HasPrefix(fn.Sel.Name, "Not") {
		return false
	}
	switch strings.TrimSuffix(fn.Sel.Name, "f") {
	case "EqualError", "ErrorContains":
		return true
	case "Equal", "Regexp":
		return len(call.Args) > 2 && hasErrorText(call.Args[1]) != hasErrorText(call.Args[2]) // two errors may be compared
	case "Contains": // what holds the text of an error may be asserted
		return len(call.Args) > 2 && hasErrorText(call.Args[1]) && !hasErrorText(call.Args[2])
	case "True":
		return len(call.Args) > 1 && hasErrorText(call.Args[1])
	}
	return false
}

// hasErrorText reports whether an expression has the text of an error.
func hasErrorText(e ast.Expr) (has bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		if call, is := n.(*ast.CallExpr); is && len(call.Args) == 0 {
			fn, is := call.Fun.(*ast.SelectorExpr)
			has = has || is && fn.Sel.Name == "Error"
		}
		return true
	})
	return has
}

func TestFunctionsAreShort(t *testing.T) {
	faults, err := functionFaults(tree(t))
	require.NoError(t, err)
	require.Empty(t, faults)
}

func TestTypesHaveFewMethods(t *testing.T) {
	faults, err := methodFaults(tree(t))
	require.NoError(t, err)
	require.Empty(t, faults)
}

func TestNoHelperHasAWholeLoader(t *testing.T) {
	faults, err := wholeFaults(tree(t))
	require.NoError(t, err)
	require.Empty(t, faults)
}

func TestErrorsAreComparedByFields(t *testing.T) {
	found, err := textAssertions(tree(t))
	require.NoError(t, err)
	require.LessOrEqual(t, len(found), mostTextAssertions, strings.Join(found, "\n"))
}

func TestBoundFaultsAreFound(t *testing.T) {
	body := func(lines int) string { return "{" + strings.Repeat("\n", lines-1) + "}\n" }
	short, long := "package a\nfunc a() "+body(10), "package a\nfunc (t T) b() "+body(mostLinesOfFunction+1)
	faults, err := functionFaults([]source{{"a.go", short}, {"b_test.go", long}, {"README.md", "x"}})
	require.NoError(t, err)
	require.Empty(t, faults)
	faults, err = functionFaults([]source{{"b.go", long}})
	require.NoError(t, err)
	require.Len(t, faults, 2, "it and the median")
	_, err = functionFaults([]source{{"a.go", "no Go"}})
	require.Error(t, err)

	const of = "package a\nfunc (l Loader) n() {}\n"
	many := "package a\n" + strings.Repeat("func (l *Loader) m() {}\n", mostMethods["sinks/clickhouse Loader"])
	faults, err = methodFaults([]source{{"sinks/clickhouse/a.go", many}, {"sinks/b.go", of}})
	require.NoError(t, err)
	require.Empty(t, faults)
	faults, err = methodFaults([]source{{"sinks/clickhouse/a.go", many}, {"sinks/clickhouse/b.go", of}})
	require.NoError(t, err)
	require.Len(t, faults, 1)

	const helpers = "package a\ntype h struct{ l *Loader }\nfunc f(l *Loader) {}\nfunc (l *Loader) ok() (*Loader, error) { return l, nil }\n"
	faults, err = wholeFaults([]source{{"sinks/clickhouse/a.go", helpers}, {"sinks/b.go", helpers}})
	require.NoError(t, err)
	require.Len(t, faults, 2)

	for text, is := range map[string]bool{
		`require.EqualError(t, err, "x")`:                  true,
		`require.ErrorContainsf(t, err, "x", "y")`:         true,
		`require.Contains(t, f(err.Error()), "x")`:         true,
		`require.Equal(t, "x", p.Error())`:                 true,
		`require.True(t, strings.HasPrefix(e.Error(), x))`: true,
		`require.NotContains(t, err.Error(), "secret")`:    false,
		`require.Equal(t, 1, 1, err.Error())`:              false,
		`require.Equal(t, a.Error(), b.Error())`:           false,
		`require.Contains(t, out, cdc.ErrFenced.Error())`:  false,
		`require.ErrorIs(t, err, cdc.ErrRefused)`:          false,
		`fmt.Println(err.Error())`:                         false,
	} {
		found, err := textAssertions([]source{{"a_test.go", "package a\nfunc a() {\n" + text + "\n}\n"}})
		require.NoError(t, err)
		require.Equal(t, is, len(found) == 1, text)
	}
}
