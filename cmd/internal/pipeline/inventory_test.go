package pipeline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/inventory"
	"dirtbike/config"
)

// TestTheLogSaysWhatLeaves: at the first reading of the catalog, and again where it has changed, by the effect: a
// column that nobody named is warned of, whatever the mode is called.
func TestTheLogSaysWhatLeaves(t *testing.T) {
	core, lines := observer.New(zap.InfoLevel)
	c := hashing(t, "127.0.0.1:1", `{columns: {public.people: {id: keep, ssn: drop, note: mask, "*": keep}, public.visits: {id: keep}}}`)
	people, visits := &cdc.Table{Schema: "public", Name: "people"}, &cdc.Table{Schema: "public", Name: "visits"}
	for i, name := range []string{"id", "ssn", "note"} {
		people.Columns = append(people.Columns, cdc.Column{Number: int16(i + 1), Name: name})
		visits.Columns = append(visits.Columns, cdc.Column{Number: int16(i + 1), Name: name})
	}
	a, state := &announcer{config: c, log: zap.New(core)}, &cdc.State{}
	for range 2 {
		a.listed([]*cdc.Table{people, visits}, state)
	}
	require.Equal(t, 3, lines.Len(), "once: how many, and a line for each table")
	require.Zero(t, lines.FilterLevelExact(zap.WarnLevel).Len())
	said := lines.TakeAll()
	require.Equal(t, inventory.Of(c, []*cdc.Table{people, visits}, leftOut(state)).Summary(), said[0].Message)
	require.Equal(t, "allowlist", said[0].ContextMap()["mode"])
	for field, names := range map[string][]any{"keep": {"id"}, "mask": {"note"}, inventory.Withheld: {"ssn"}} {
		require.Equal(t, names, said[1].ContextMap()[field], field)
	}
	require.Equal(t, []any{"ssn", "note"}, said[2].ContextMap()[inventory.Withheld])

	people.Columns = append(people.Columns, cdc.Column{Number: 4, Name: "added_later"})
	a.listed([]*cdc.Table{people, visits}, state)
	warned := lines.FilterLevelExact(zap.WarnLevel).All()
	require.Len(t, warned, 1)
	require.Contains(t, warned[0].Message, `public.people (added_later; by "*" in line 5)`)
	require.Equal(t, []any{"id", "added_later"}, lines.All()[1].ContextMap()["keep"])
}

// TestSignsAreConnected: what status, readyz and the metrics say of privacy is that of the config.
func TestSignsAreConnected(t *testing.T) {
	for _, open := range []bool{true, false} {
		host, privacy := "host.invalid", "{mode: open}"
		if !open {
			host, privacy = "127.0.0.1", "{columns: {public.t: {id: keep}}}"
		}
		c, err := config.Parse(t.TempDir()+"/dirtbike.yaml", []byte(strings.ReplaceAll(`source: {url: "postgres://u@HOST:1/d"}
kafka: {brokers: ["HOST:1"]}
registry: {url: "http://HOST:1"}
clickhouse: {url: "clickhouse://HOST:1"}
privacy: `+privacy, "HOST", host)))
		require.NoError(t, err)
		h, err := NewHealth(c)
		require.NoError(t, err)
		defer h.Close()
		signs := h.Collector()
		require.Equal(t, open, signs.MayOpen)
		require.Len(t, signs.Exposed, map[bool]int{true: 4, false: 0}[open])
		require.NotNil(t, signs.Inventory)
		require.NotNil(t, signs.Formers)
	}
}
