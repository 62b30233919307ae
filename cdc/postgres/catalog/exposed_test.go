package catalog

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// TestExposed: columns that leave though nobody named them, and those that a policy other than keep names.
func TestExposed(t *testing.T) {
	column := func(n int16, name string) schemas.Column { return schemas.Column{Attnum: n, Name: name} }
	whole := &schemas.Relation{Schema: "public", Name: "t", Columns: []schemas.Column{
		column(1, "id"), column(2, "ssn"), column(3, "note"), column(5, "name"), column(6, "unsent"),
	}}
	sent := *whole
	sent.Columns = whole.Columns[:4]
	carried := &schemas.Table{Columns: []schemas.TableColumn{
		{Name: "id", Attnum: 1}, {Name: "note", Attnum: 3}, {Name: "name", Attnum: 5, Transform: mask{}},
	}}
	named := func(_, _, column string) bool { return column != "note" }
	open, guarded := (&Tables{options: Options{Named: named}}).exposed(&entry{rel: &sent, whole: whole}, carried)
	require.Equal(t, []int16{3}, open)
	require.Equal(t, []string{"ssn", "name", "unsent"}, guarded)
	open, guarded = (&Tables{}).exposed(&entry{rel: &sent, whole: whole}, carried)
	require.Empty(t, open)
	require.Empty(t, guarded)
}

// TestNamedByItsFormerName: where a policy names a renamed column by its former name, that is put right first.
func TestNamedByItsFormerName(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "t", Columns: []schemas.Column{{Attnum: 1, Name: "id"}, {Attnum: 2, Name: "title"}, {Attnum: 3, Name: "note"}}}
	now := &schemas.Relation{Schema: "public", Name: "t", Columns: []schemas.Column{{Attnum: 1, Name: "id"}, {Attnum: 2, Name: "name"}, {Attnum: 3, Name: "remark"}}}
	sent := &cdc.WireRelation{Schema: "public", Name: "t", Columns: []cdc.WireColumn{{Name: "id"}, {Name: "name"}, {Name: "remark"}}}
	for way, names := range map[string][]string{
		"under privacy.columns write name for title of public.t; then dirtbike resnapshot public.t":                  {"title"},
		"under privacy.columns write name for title, remark for note of public.t; then dirtbike resnapshot public.t": {"title", "note"},
		"dirtbike resnapshot public.t": {"title", "name"},
	} {
		tables := &Tables{options: Options{Named: func(_, _, column string) bool { return slices.Contains(names, column) }}}
		for _, renamed := range [][]rename{renames(rel, &entry{rel: now}), sentRenames(rel, sent)} {
			p := tables.nameAgain(cdc.Failed("changed"), now, renamed).ThenCopy("public.t")
			require.Equal(t, []cdc.Remedy{{Command: way}}, p.Try)
			tables.options.Entry = func(schema, table, column string) string { return schema + table + column + ".yaml:7" }
			p = tables.nameAgain(cdc.Failed("changed"), now, renamed)
			for _, name := range names {
				require.Equal(t, len(p.Try) > 0, strings.Contains(cdc.WriteRemedies(p.Try), " for "+name+" (publict"+name+".yaml:7)"), "where it is written")
			}
			tables.options.Entry = nil
		}
	}
}
