package preflight

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesThatTerminalsWouldObey are shown, and their statements left to --json.
func TestNamesThatTerminalsWouldObey(t *testing.T) {
	p := &part{name: partPostgres}
	p.fail("postgres-select", "public.\"evil\x1b[2J\n✓ good\"", "GRANT SELECT ON TABLE public.\"evil\x1b[2J\n✓ good\" TO d;", "d may not read evil\x1b[2J")
	p.fail("postgres-tables", "public.x", "SELECT '\x1b[2J';", "bad")
	p.fail("postgres-tables", "public.x", "look at \x1b[2J", "bad")
	var out bytes.Buffer
	require.NoError(t, Report{Checks: p.close()}.WriteText(&out))
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\nGRANT SELECT")
	require.Equal(t, "`a\\x1b\\`\\\\`", identifier("a\x1b`\\"))
	require.Contains(t, out.String(), "  Try: look at \\x1b[2J\n")
	require.Contains(t, out.String(), "  Try: dirtbike check --json, which has the statement")
}
