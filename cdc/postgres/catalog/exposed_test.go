package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

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
