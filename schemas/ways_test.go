package schemas

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestWaysOutOfATableAreTaken: a relation that cannot be a table is one after each way out that is about it; that
// leaving it out is a line of the config is shown beside the config.
func TestWaysOutOfATableAreTaken(t *testing.T) {
	keyless := func(r *Relation) { r.Key = nil }
	numeric := func(r *Relation) { r.Columns[0].Type = Type{Kind: KindNumericText, Name: "numeric"} }
	withheld := rules{withheld: map[string]bool{"id": true}}
	for _, c := range []struct {
		fault  func(*Relation)
		policy rules
		says   string
		apply  func(*Relation)
		then   rules
	}{
		{keyless, rules{}, "give the table a primary key", func(r *Relation) { r.Key = []int{0} }, rules{}},
		{numeric, rules{}, "give the column a type that can be a key", func(r *Relation) { r.Columns[0].Type = Type{Kind: KindInt8, Name: "bigint"} }, rules{}},
		{func(*Relation) {}, withheld, "name it keep or hash under privacy.columns", func(*Relation) {}, rules{}},
		{func(*Relation) {}, withheld, "name it keep or hash under privacy.columns", func(*Relation) {}, rules{into: map[string]Type{"id": {Kind: KindText, Name: "text"}}}},
	} {
		rel := patients()
		c.fault(rel)
		_, err := NewTable(rel, "t", c.policy)
		require.Error(t, err)
		require.Contains(t, cdc.Explain(err).Try, cdc.Remedy{Command: c.says})
		c.apply(rel)
		_, err = NewTable(rel, "t", c.then)
		require.NoError(t, err, c.says)
	}
}
