package status

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/inventory"
)

// openInventory has one column that nobody named.
func openInventory() inventory.Inventory {
	return inventory.Inventory{Tables: []inventory.Table{{Table: "public.t", Columns: []inventory.Column{
		{Column: "id", Policy: "keep", Leaves: true, NamedBy: "column", Line: 3}, {Column: "ssn", Policy: "keep", Leaves: true, NamedBy: "wildcard", Line: 4, Open: true},
	}}}}
}

// TestSignsOfTheEffect: status, readyz and the metrics say what leaves and which connections are exposed; what cannot
// be asked is not waited for again and again, and what was known stays.
func TestSignsOfTheEffect(t *testing.T) {
	asked, away := 0, error(nil)
	c := NewCollector(Sources{
		Exposed: []*cdc.Problem{cdc.Failed("kafka.tls: plain").Fix("tls")},
		Inventory: func(context.Context) (inventory.Inventory, error) {
			asked++
			return openInventory(), away
		},
		Formers: func(context.Context) (map[string]int64, error) { return map[string]int64{"public.t": 7}, nil },
	})
	s := c.withPrivacy(t.Context(), Status{Tables: []TableStatus{{Table: "public.t"}, {Table: "public.u"}}})
	require.Equal(t, 1, s.Privacy.OpenColumns)
	require.Contains(t, s.Privacy.Warning, "public.t (ssn; by \"*\" in line 4)")
	require.Equal(t, []int64{7, 0}, []int64{s.Tables[0].FormerRecords, s.Tables[1].FormerRecords})
	require.Equal(t, []string{"kafka.tls: plain. Try: tls"}, s.Exposed)
	var out bytes.Buffer
	require.NoError(t, s.WriteText(&out))
	for _, says := range []string{s.Privacy.Summary, s.Privacy.Warning, "kafka.tls: plain", "dirtbike purge public.t"} {
		require.Contains(t, out.String(), says)
	}
	require.Equal(t, s.Privacy.Warning, c.privacyCheck().Note(t.Context()))
	require.Equal(t, "kafka.tls: plain. Try: tls", c.encryptionCheck().Note(t.Context()))
	away, c.inventory.due = errors.New("away"), c.inventory.due.Add(-2*inventoryTime)
	for range 3 {
		open, n, known := c.openColumns(t.Context())
		require.Equal(t, []any{true, 1, true}, []any{open, n, known})
	}
	require.Equal(t, 2, asked)
}

// TestSignsBeforeTheCatalogWasRead: then the config alone decides what may leave.
func TestSignsBeforeTheCatalogWasRead(t *testing.T) {
	for _, may := range []bool{true, false} {
		c := NewCollector(Sources{MayOpen: may, Inventory: func(context.Context) (i inventory.Inventory, err error) { return i, errors.New("away") }})
		open, _, known := c.openColumns(t.Context())
		require.Equal(t, []bool{may, false}, []bool{open, known})
		require.Nil(t, c.withPrivacy(t.Context(), Status{}).Privacy)
		require.Empty(t, c.privacyCheck().Note(t.Context()))
	}
}
