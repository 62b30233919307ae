package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

func TestMatch(t *testing.T) {
	s := config.Source{Tables: []string{"!public.audit_*", "public.*", "billing.claims", "*.shared", "x?.t*_y"}}
	for name, want := range map[config.TableName]bool{
		{Schema: "public", Table: "patients"}:           true,
		{Schema: "public", Table: "with.dot"}:           true,
		{Schema: "public", Table: "audit_log"}:          false,
		{Schema: "billing", Table: "claims"}:            true,
		{Schema: "billing", Table: "claims2"}:           false,
		{Schema: "Billing", Table: "claims"}:            false,
		{Schema: "other", Table: "shared"}:              true,
		{Schema: "pg_catalog", Table: "shared"}:         false,
		{Schema: "information_schema", Table: "shared"}: false,
		{Schema: "xä", Table: "tab_y"}:                  true,
		{Schema: "xab", Table: "tab_y"}:                 false,
		{Schema: "x1", Table: "t_y_y"}:                  true,
		{Schema: "x1", Table: "t_z"}:                    false,
		{Schema: "publicx", Table: "a"}:                 false,
	} {
		require.Equal(t, want, s.Match(name.Schema, name.Table), name)
	}
}

// TestNames: only an entry without a pattern names a table itself, and one that excludes it wins.
func TestNames(t *testing.T) {
	s := config.Source{Tables: []string{"public.*", "billing.claims", "*.shared", "public.loot", "!public.loot", "x.y"}}
	for name, want := range map[config.TableName]bool{
		{Schema: "billing", Table: "claims"}: true, {Schema: "x", Table: "y"}: true, {Schema: "public", Table: "patients"}: false,
		{Schema: "other", Table: "shared"}: false, {Schema: "public", Table: "loot"}: false, {Schema: "billing", Table: "none"}: false,
	} {
		require.Equal(t, want, s.Names(name.Schema, name.Table), name)
	}
}

func TestCheckGlobs(t *testing.T) {
	cfg, err := config.Parse("a.yaml", []byte(`source:
  url: postgres://u@h/d
  tables:
    - public.*
    - billing.cliams
    - "!public.audit_*"
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
`))
	require.NoError(t, err)
	tables := []config.TableName{{Schema: "public", Table: "patients"}, {Schema: "billing", Table: "claims"}}
	requireProblems(t, cfg.Source.CheckGlobs(tables), `5:7 source.tables[1]: "billing.claims"`,
		`6:7 source.tables[2]: one of !billing.claims, !public.patients; or create the table first, or remove the glob`)
	tables = append(tables, config.TableName{Schema: "billing", Table: "cliams"}, config.TableName{Schema: "public", Table: "audit_log"})
	require.NoError(t, cfg.Source.CheckGlobs(tables))
}

// TestContradictions: what is named and excluded at once is found, by the same name or a wider one; an exclusion of a
// part is none.
func TestContradictions(t *testing.T) {
	for list, want := range map[string][]string{
		"billing.ev !billing.ev":                {"billing.ev !billing.ev"},
		"!billing.ev billing.ev public.*":       {"billing.ev !billing.ev"},
		"billing.ev public.* !billing.*":        {"billing.ev !billing.*"},
		"billing.e* public.a !b*.e* !public.b":  {"billing.e* !b*.e*"},
		"public.* !public.*":                    {"public.* !public.*"},
		"public.ev public.a !*.ev":              {"public.ev !*.ev"},
		"a.b? !a.b?":                            {"a.b? !a.b?"},
		"public.* !public.ev":                   nil,
		"billing.e* !billing.ev !billing.e?":    nil,
		"billing.e? !billing.ev":                nil,
		"billing.e? public.ev !billing.e !*.e*": {"billing.e? !*.e*", "public.ev !*.e*"},
		"public.ev":                             nil,
		"*.* !public.*":                         nil,
	} {
		var got []string
		for _, c := range (config.Source{Tables: strings.Fields(list)}).Contradictions() {
			got = append(got, c.Glob+" "+c.Exclusion)
		}
		require.Equal(t, want, got, list)
	}
}

func TestDefaultGlobCanMatchNothing(t *testing.T) {
	err := parse(t, with("")).Source.CheckGlobs(nil)
	requireProblems(t, err, "1:1 source.tables[0]: create the table first, or remove the glob")
}
