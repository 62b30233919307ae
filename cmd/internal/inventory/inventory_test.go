package inventory

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// of gives the inventory of patients (id, ssn, note, and later, which nobody names) under a privacy section, whose
// first line is line 5.
func of(t *testing.T, privacy string, change ...func(*cdc.Table)) Inventory {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
`+privacy))
	require.NoError(t, err)
	table := patients("id", "ssn", "note", "later")
	for _, f := range change {
		f(table)
	}
	return Of(c, []*cdc.Table{table}, nil)
}

func patients(columns ...string) *cdc.Table {
	t := &cdc.Table{Schema: "public", Name: "patients"}
	for i, name := range columns {
		t.Columns = append(t.Columns, cdc.Column{Number: int16(i + 1), Name: name, Type: "text"})
	}
	return t
}

// TestTheEffect: what leaves, by which policy, and who named it, whatever the section is called.
func TestTheEffect(t *testing.T) {
	for name, c := range map[string]struct {
		privacy string
		columns []string // "policy by line", + in front if it leaves, ! behind if it is open
		open    int
	}{
		"allowlist":                  {"privacy:\n  columns:\n    public.patients:\n      id: keep\n      ssn: drop\n      note: mask", []string{"+keep column 8", "drop column 9", "+mask column 10", "drop mode 5"}, 0},
		"a wildcard that keeps":      {"privacy:\n  mode: allowlist\n  columns:\n    public.patients:\n      ssn: drop\n      \"*\": keep", []string{"+keep wildcard 10 !", "drop column 9", "+keep wildcard 10 !", "+keep wildcard 10 !"}, 3},
		"a wildcard with no work":    {`privacy: {columns: {public.patients: {id: keep, ssn: drop, note: mask, later: year, "*": keep}}}`, []string{"+keep column 5", "drop column 5", "+mask column 5", "+year column 5"}, 0},
		"a wildcard that hashes":     {`privacy: {columns: {public.patients: {id: keep, "*": hash}}}`, []string{"+keep column 5", "+hash wildcard 5", "+hash wildcard 5", "+hash wildcard 5"}, 0},
		"a wildcard of another":      {`privacy: {columns: {public.patients: {id: keep}, public.visits: {"*": keep}}}`, []string{"+keep column 5", "drop mode 5", "drop mode 5", "drop mode 5"}, 0},
		"open":                       {"privacy:\n  columns: {public.patients: {ssn: drop}}\n  mode: open", []string{"+keep mode 7 !", "drop column 6", "+keep mode 7 !", "+keep mode 7 !"}, 3},
		"open, and everything named": {`privacy: {mode: open, columns: {public.patients: {id: keep, ssn: drop, note: keep, later: drop}}}`, []string{"+keep column 5", "drop column 5", "+keep column 5", "drop column 5"}, 0},
		"open, withheld by wildcard": {`privacy: {mode: open, columns: {public.patients: {id: keep, "*": drop}}}`, []string{"+keep column 5", "drop wildcard 5", "drop wildcard 5", "drop wildcard 5"}, 0},
		"no section":                 {"", []string{"+keep none 0 !", "+keep none 0 !", "+keep none 0 !", "+keep none 0 !"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			i := of(t, c.privacy)
			var got []string
			for _, column := range i.Tables[0].Columns {
				line := fmt.Sprintf("%s %s %d", column.Policy, column.NamedBy, column.Line)
				if column.Leaves {
					line = "+" + line
				}
				if column.Open {
					line += " !"
				}
				got = append(got, line)
			}
			require.Equal(t, c.columns, got)
			require.Equal(t, c.open, i.OpenColumns())
			require.Equal(t, c.open > 0, i.Warning() != nil)
			if c.open > 0 {
				require.Contains(t, i.Warning().What, "later", "it names them")
			}
		})
	}
}

// TestAColumnCalledStar is never named itself: "*" is a wildcard.
func TestAColumnCalledStar(t *testing.T) {
	i := of(t, `privacy: {columns: {public.patients: {"*": keep}}}`, func(table *cdc.Table) { table.Columns = []cdc.Column{{Name: "*"}} })
	require.Equal(t, "wildcard", i.Tables[0].Columns[0].NamedBy)
	require.Equal(t, 1, i.OpenColumns())
}

// TestNothingOfARefusedTableLeaves, and so nothing of it is open.
func TestNothingOfARefusedTableLeaves(t *testing.T) {
	i := of(t, "", func(table *cdc.Table) { table.Refused = cdc.Failed("it has no primary key").Fix("give it one") })
	require.Zero(t, i.OpenColumns())
	require.Equal(t, "it has no primary key. Try: give it one", i.Tables[0].Reason)
	require.False(t, i.Tables[0].Columns[0].Leaves)
	var out bytes.Buffer
	require.NoError(t, i.WriteText(&out))
	require.Contains(t, out.String(), "nothing of public.patients leaves")
}

// TestNothingOfATableThatIsLeftOutLeaves: capture's reasons count as the catalog's do.
func TestNothingOfATableThatIsLeftOutLeaves(t *testing.T) {
	i := of(t, "")
	require.Equal(t, 4, i.OpenColumns())
	c, people, visits := shipped(t, "source: {url: \"postgres://u@127.0.0.1:1/d\"}\nkafka: {brokers: [\"127.0.0.1:1\"]}\nregistry: {url: \"http://127.0.0.1:1\"}\nclickhouse: {url: \"clickhouse://127.0.0.1:1\"}"), patients("id", "ssn"), patients("id", "day")
	visits.Name = "visits"
	i = Of(c, []*cdc.Table{people, visits}, func(t *cdc.Table) error {
		if t != people {
			return nil
		}
		return cdc.Failed("it was captured under policies, as public.former").Fix("name it")
	})
	require.Equal(t, 2, i.OpenColumns())
	require.Equal(t, "it was captured under policies, as public.former. Try: name it", i.Tables[0].Reason)
	require.Empty(t, i.Tables[0].ByPolicy()["keep"])
	require.Equal(t, []string{"id", "day"}, i.Tables[1].ByPolicy()["keep"])
	require.Contains(t, i.Summary(), "2 of 4 columns")
	require.Zero(t, i.Travelling())
}

// TestWhereItIsWithheld: a column that Postgres sends to capture is told from one that a column list keeps in Postgres,
// by every form of the inventory; of a refused table nothing is sent.
func TestWhereItIsWithheld(t *testing.T) {
	const privacy = `privacy: {columns: {public.patients: {id: keep, note: mask}}}`
	i := of(t, privacy)
	require.Equal(t, 2, i.Travelling())
	require.Equal(t, []string{"ssn", "later"}, i.Tables[0].ByPolicy()[Withheld])
	require.Contains(t, i.Summary(), "2 more are sent")
	i = of(t, privacy, func(table *cdc.Table) {
		table.Columns, table.Unsent = table.Columns[:3], table.Columns[3:]
	})
	require.Equal(t, 1, i.Travelling())
	require.Equal(t, map[string][]string{"keep": {"id"}, Withheld: {"ssn"}, "mask": {"note"}, Kept: {"later"}}, i.Tables[0].ByPolicy())
	var out bytes.Buffer
	require.NoError(t, i.WriteText(&out))
	require.Regexp(t, `ssn .*withheld in capture`, out.String())
	require.Regexp(t, `later .*withheld in Postgres`, out.String())
	i = of(t, privacy, func(table *cdc.Table) { table.Refused = cdc.Failed("it has no primary key").Fix("give it one") })
	require.Zero(t, i.Travelling())
}

// TestShippedConfigsAreWhatTheySay: those that call themselves an allowlist withhold what is added later, and publish
// only what they name; the minimal one says that it publishes everything.
func TestShippedConfigsAreWhatTheySay(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block)
	compose, err := os.ReadFile("../../../docker/dirtbike.yaml")
	require.NoError(t, err)
	minimal, err := os.ReadFile("../../../config/minimal.yaml")
	require.NoError(t, err)
	for name, text := range map[string]string{"README.md": string(block[1]), "sample.yaml": config.Sample, "compose": string(compose)} {
		c := shipped(t, text)
		require.False(t, c.Privacy.MayOpen(), name)
		require.NotEmpty(t, c.Privacy.Columns)
		for table, columns := range c.Privacy.Columns {
			names := []string{"added_later"}
			for column := range columns {
				names = append(names, column)
			}
			one := patients(names...)
			one.Schema, one.Name, _ = strings.Cut(table, ".")
			i := Of(c, []*cdc.Table{one}, nil)
			require.Zero(t, i.OpenColumns(), "%s: %s", name, table)
			require.False(t, i.Tables[0].Columns[0].Leaves, "%s: %s", name, table)
		}
	}
	c := shipped(t, string(minimal))
	require.True(t, c.Privacy.MayOpen())
	require.Equal(t, 2, Of(c, []*cdc.Table{patients("id", "ssn")}, nil).OpenColumns())
	require.Contains(t, string(minimal), "publishes every column as it is")
}

// shipped parses a config with something in place of each reference.
func shipped(t *testing.T, text string) *config.Config {
	t.Helper()
	text = regexp.MustCompile(`\$\{(env|file):[^}]+\}`).ReplaceAllString(text, "5ad0a8f2c93e4b17a6c1de7f80b24c9a")
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(text))
	require.NoError(t, err)
	return c
}
