package pipeline

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/config"
)

// TestAnnouncer: the log at a start says what leaves, and nothing of a table that the start leaves out, as one that was
// renamed and that no policy names now; it says so again only if that has changed.
func TestAnnouncer(t *testing.T) {
	c, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
privacy: {mode: open, columns: {public.people: {ssn: drop}}}
`))
	require.NoError(t, err)
	columns := []cdc.Column{{Number: 1, Name: "id", Type: "integer"}, {Number: 2, Name: "ssn", Type: "text"}}
	former := &cdc.Table{Schema: "public", Name: "people_old", OID: 7, Columns: columns, Unnamed: true, PolicyPrint: "none"}
	present := &cdc.Table{Schema: "public", Name: "people", OID: 8, Columns: columns, PolicyPrint: "drops"}
	state := &cdc.State{Tables: map[string]cdc.TableState{"public.people": {Schema: "public", Table: "people", OID: 7, Phase: cdc.TableStreaming, PolicyPrint: "drops"}}}
	core, said := observer.New(zap.InfoLevel)
	a := &announcer{config: c, log: zap.New(core)}
	keeps := func(table string) any {
		for _, line := range said.FilterField(zap.String("table", table)).All() {
			return line.ContextMap()["keep"]
		}
		return "nothing is said"
	}
	a.listed([]*cdc.Table{present, former}, state)
	require.Equal(t, []any{"id"}, keeps("public.people"))
	require.Nil(t, keeps("public.people_old"))
	lines := said.Len()
	a.listed([]*cdc.Table{present, former}, state)
	require.Equal(t, lines, said.Len())
	said.TakeAll()
	a.listed([]*cdc.Table{present, former}, &cdc.State{}) // where nothing is known of it, it would leave
	require.Equal(t, []any{"id", "ssn"}, keeps("public.people_old"))
}
