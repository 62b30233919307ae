package rules

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// One place begins every session with Postgres, so that no setting of a role or database changes what it means:
// cdc/postgres, by the list in session.go; and one every session with ClickHouse: sinks/clickhouse/session. Outside of
// them these may connect, each for its reason.
var mayConnect = map[string]string{
	"sinks/clickhouse/session/": "the one place",
	"sinks/clickhouse/table/":   "blocks of rows travel over another client, with the same list",
	"docker/embedded/":          "it makes its own servers, with nobody else's settings",
	"docker/oracle/":            "it shares no code with what it judges, and pins for itself",
	"cdc/postgres/":             "the one place",
}

// connects are the functions that begin a session.
var connects = regexp.MustCompile(`^(pgx\.(Connect|ConnectConfig|ConnectWithOptions)|pgconn\.(Connect|ConnectConfig|ConnectWithOptions)|pgxpool\.(New|NewWithConfig)|sql\.Open|(clickhouse|chgo)\.(Open|OpenDB)|ch\.Dial|chpool\.(New|Dial))$`)

// sessionFaults lists the calls that begin a session elsewhere.
func sessionFaults(all []source) (faults []string, err error) {
	err = goFiles(all, false, func(f source, set *token.FileSet, file *ast.File) {
		for prefix := range mayConnect {
			if strings.HasPrefix(f.path, prefix) {
				return
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.SelectorExpr)
			if !is {
				return true
			}
			if from, is := call.X.(*ast.Ident); is && connects.MatchString(from.Name+"."+call.Sel.Name) {
				faults = append(faults, fmt.Sprintf("%s:%d: %s.%s. Try: postgres.Login or session.Open", f.path, set.Position(call.Pos()).Line, from.Name, call.Sel.Name))
			}
			return true
		})
	})
	return faults, err
}

// The parts whose files ask Postgres, unless they import what asks ClickHouse.
var asksPostgres = regexp.MustCompile(`^(cdc/postgres|cmd/internal/(wait|verify|status|pipeline|preflight))/`)

// called is what looks like the call of a function that names no schema. In our SQL nothing is between the two.
var called = regexp.MustCompile(`(?:^|[^\w.%\\"])([a-z_][a-z0-9_]*)\(`)

// syntax are the words that SQL's grammar puts before a parenthesis: no function of a user's can take their place.
// (The short ones are aliases. pg_reload_conf is printed for a superuser; it takes nothing, so no other can fit
// better.)
var syntax = strings.Fields("coalesce nullif greatest least exists any all in values row array k u o l x inner_type pg_reload_conf")

// sql is a text that is SQL, or a piece of it.
var sql = regexp.MustCompile(`\b(SELECT|FROM|WHERE|CASE|EXISTS)\b`)

// functionNameFaults lists the functions in our SQL that are called without their schema.
func functionNameFaults(all []source) (faults []string, err error) {
	err = goFiles(all, false, func(f source, set *token.FileSet, file *ast.File) {
		clickhouse := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
			return strings.Contains(i.Path.Value, "ClickHouse/clickhouse-go") || strings.Contains(i.Path.Value, "sinks/clickhouse")
		})
		if clickhouse || !asksPostgres.MatchString(f.path) {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			text, is := n.(*ast.BasicLit)
			if !is || text.Kind != token.STRING || !sql.MatchString(text.Value) {
				return true
			}
			for _, m := range called.FindAllStringSubmatch(text.Value, -1) {
				if !slices.Contains(syntax, m[1]) {
					faults = append(faults, fmt.Sprintf("%s:%d: %s. Try: pg_catalog.%[3]s", f.path, set.Position(text.Pos()).Line, m[1]))
				}
			}
			return true
		})
	})
	return faults, err
}

func TestSessionsBeginInOnePlace(t *testing.T) {
	faults, err := sessionFaults(tree(t))
	require.NoError(t, err)
	require.Empty(t, faults)
}

func TestFunctionsInSQLNameTheirSchema(t *testing.T) {
	faults, err := functionNameFaults(tree(t))
	require.NoError(t, err)
	require.Empty(t, faults)
}

func TestSessionFaultsAreFound(t *testing.T) {
	text := "package x\nfunc f() { pgx.Connect(nil, \"\"); postgres.Login{}.Connect(nil)\n_ = \"SELECT count(*), pg_catalog.max(a), coalesce(b, 0) FROM t\"\n}\n"
	all := []source{{"cmd/internal/status/x.go", text}, {"docker/oracle/x.go", text}, {"cmd/internal/status/x_test.go", text}}
	faults, err := sessionFaults(all)
	require.NoError(t, err)
	require.Equal(t, []string{"cmd/internal/status/x.go:2: pgx.Connect. Try: postgres.Login or session.Open"}, faults)
	faults, err = functionNameFaults(all)
	require.NoError(t, err)
	require.Equal(t, []string{"cmd/internal/status/x.go:3: count. Try: pg_catalog.count"}, faults)
}
