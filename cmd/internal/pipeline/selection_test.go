package pipeline

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc/postgres/catalog"
	"dirtbike/config"
	"dirtbike/schemas"
)

// TestSelectionCheck: a name that nothing has is one matter, a policy that its table does not fit is the table's.
func TestSelectionCheck(t *testing.T) {
	c, err := config.Parse("a.yaml", []byte(`source: {url: "postgres://u@h/d", tables: ["public.*", "billing.claims"], keys: {public.patients: [nr]}}
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
privacy: {mode: open, columns: {public.patients: {ssn: drop}, public.clients: {ssn: drop}, elsewhere.visits: {x: drop}}}
`))
	require.NoError(t, err)
	rel := func(schema, name string) *schemas.Relation {
		return &schemas.Relation{Schema: schema, Name: name, Columns: []schemas.Column{{Name: "id"}}}
	}
	err = selection{c}.Check([]*schemas.Relation{rel("public", "patients"), rel("public", "visits"), rel("elsewhere", "visits"), rel("other", "t")})
	var misnamed, refused, doubts []string
	var each func(err error)
	each = func(err error) {
		several, ok := err.(interface{ Unwrap() []error })
		if ok {
			for _, one := range several.Unwrap() {
				each(one)
			}
			return
		}
		var table *catalog.TableError
		switch {
		case !errors.As(err, &table):
			misnamed = append(misnamed, err.Error())
		case table.BlocksStart:
			doubts = append(doubts, table.Table)
		default:
			refused = append(refused, table.Table)
		}
	}
	each(err)
	require.Len(t, misnamed, 2)
	require.Contains(t, misnamed[0], "source.tables[1]")
	require.Contains(t, misnamed[1], "privacy.columns.public.clients: there is no table")
	require.ElementsMatch(t, []string{"public.patients", "public.patients", "elsewhere.visits"}, refused)
	require.Equal(t, []string{"public.visits"}, doubts, "it may be public.clients; the others are named, or not captured")
}
