package inventory

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestWayOutOfOpenColumnsIsTaken names the columns that the warning is about, as it says: nothing leaves any more that
// nobody named.
func TestWayOutOfOpenColumnsIsTaken(t *testing.T) {
	for _, privacy := range []string{
		"", "privacy: {mode: open}", "privacy: {mode: open, columns: {public.patients: {ssn: drop}}}", `privacy: {columns: {public.patients: {ssn: drop, "*": keep}}}`,
	} {
		warned := of(t, privacy)
		require.Equal(t, []cdc.Remedy{{Command: `name them under privacy.columns, in mode allowlist and without "*"; dirtbike inventory lists every column`}}, warned.Warning().Try)
		var named []string
		if strings.Contains(privacy, "ssn") {
			named = append(named, "ssn: drop")
		}
		for _, c := range warned.Tables[0].Columns {
			if c.Open {
				named = append(named, c.Column+": keep")
			}
		}
		require.NotEmpty(t, named)
		fixed := of(t, "privacy: {mode: allowlist, columns: {public.patients: {"+strings.Join(named, ", ")+"}}}")
		require.Nil(t, fixed.Warning(), privacy)
	}
}
