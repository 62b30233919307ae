package draft

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"
)

// identifier reports whether Postgres takes the name: bytes of valid UTF-8 without NUL, at most 63.
func identifier(s string) bool {
	return s != "" && len(s) <= 63 && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// FuzzDraft: what init writes of any catalog is a config that says the same. Tables that no config can name are left
// out.
func FuzzDraft(f *testing.F) {
	f.Add("clinic", "public", "patients", "id", "ssn", uint8(schemas.KindInt8), uint8(schemas.KindText), "it has no key")
	f.Add("Odd-Clinic", "we.ird", "o'd \"q\" Ünï: # [x] {y}", "Col \"q\" : # *", "*", uint8(schemas.KindText), uint8(schemas.KindJSON), "")
	f.Add("${env:HOME}", "!not", "${env:HOME}", "${file:x}", "new\nline", uint8(schemas.KindBytea), uint8(schemas.KindDate), "a\nb # c")
	f.Add("default", "globs", "st*r", "yes", "~", uint8(schemas.KindUUID), uint8(schemas.KindNumeric), "")
	f.Add("1st", "tab\t", "back\\slash", "- x", "\u2028\u0085\ufeff", uint8(schemas.KindEnum), uint8(schemas.KindOther), "\u2028")
	f.Fuzz(func(t *testing.T, database, schema, table, key, column string, keyKind, kind uint8, obstacle string) {
		if !identifier(database) || !identifier(schema) || !identifier(table) || !identifier(key) || !identifier(column) || key == column {
			t.Skip()
		}
		rel := func(name string) *schemas.Relation {
			return &schemas.Relation{Schema: schema, Name: name, Key: []int{0}, Columns: []schemas.Column{
				{Name: key, Type: schemas.Type{Kind: schemas.Kind(keyKind)}}, {Name: column, Type: schemas.Type{Kind: schemas.Kind(kind)}},
			}}
		}
		file := &file{
			source: "postgres://u@h/d", clickhouse: "clickhouse://ch:9000", name: database, prefix: nameOf(database),
			tables: []*Table{
				{Schema: schema, Name: table, Key: []string{key}, Identity: "default", Notes: []string{"a partition"}, relation: rel(table)},
				{Schema: schema, Name: "other " + table, Key: []string{key}, Obstacle: cdc.Explain(reason(obstacle)), relation: rel("other " + table)},
				{Schema: "public", Name: "plain", Key: []string{key}, relation: rel("plain")},
			},
		}
		file.nameable()
		c, err := config.Parse("draft.yaml", []byte(file.text()))
		require.NoError(t, err, file.text())
		require.Equal(t, file.prefix, c.Kafka.Prefix)
		require.Equal(t, file.prefix, c.ClickHouse.Database)
		require.Equal(t, config.ModeAllowlist, c.Privacy.Mode)
		for _, drafted := range file.tables {
			if unnameable(drafted) == "" {
				require.Equal(t, drafted.Obstacle == nil, c.Source.Match(drafted.Schema, drafted.Name), drafted.FullName())
			}
			if drafted.Obstacle == nil {
				sameColumns(t, c, drafted)
			}
		}
	})
}

// reason is an error of that text; nil for none.
func reason(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// sameColumns: each column has the policy that was guessed, and one that no config can name is withheld.
func sameColumns(t *testing.T, c *config.Config, drafted *Table) {
	t.Helper()
	for i := range drafted.relation.Columns {
		column := &drafted.relation.Columns[i]
		policy, named := c.Privacy.For(drafted.Schema, drafted.Name, column.Name)
		require.Equal(t, column.Name != "*", named, "%q", column.Name)
		if named {
			require.Equal(t, guessColumn(column, i == 0).policy, string(policy), "%q", column.Name)
		}
	}
}
