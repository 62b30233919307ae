package preflight

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlainSQL(t *testing.T) {
	for sql, want := range map[string]string{
		"ALTER TABLE public.\"it's \"\"odd\"\"\" SET LOGGED;": "ALTER TABLE public.\"it's \"\"odd\"\"\" SET LOGGED;",
		"GRANT SELECT ON TABLE public.\"a\x1b[2J\n\" TO d;":   `GRANT SELECT ON TABLE public.U&"a\001B[2J\000A" TO d;`,
		"ALTER TABLE a.\"x\\\"\"\x07\" RESET (b);\nSELECT 1;": `ALTER TABLE a.U&"x\\""\0007" RESET (b);` + "\nSELECT 1;",
		"ALTER TABLE a.\"\U000e0001\u202e\" SET LOGGED;":      `ALTER TABLE a.U&"\+0E0001\202E" SET LOGGED;`,
		"SELECT 'a\x1b';": "", "SELECT \x1b;": "", "SELECT \"a;": "", "SELECT \"\xff\";": "",
	} {
		plain, ok := plainSQL(sql)
		require.Equal(t, want != "", ok, sql)
		require.Equal(t, want, plain)
	}
	require.Equal(t, "`a\\x1b\\`\\\\`", identifier("a\x1b`\\"))
}

// TestNamesThatTerminalsWouldObey are shown, and their statements stay what they are, where that is possible.
func TestNamesThatTerminalsWouldObey(t *testing.T) {
	p := &part{name: partPostgres}
	p.fail("postgres-select", "public.\"evil\x1b[2J\n✓ good\"", "GRANT SELECT ON TABLE public.\"evil\x1b[2J\n✓ good\" TO d;", "d may not read evil\x1b[2J")
	p.fail("postgres-tables", "public.x", "SELECT '\x1b[2J';", "bad")
	p.fail("postgres-tables", "public.x", "look at \x1b[2J", "bad")
	var out bytes.Buffer
	require.NoError(t, Report{Checks: p.close()}.WriteText(&out))
	require.NotContains(t, out.String(), "\x1b")
	require.Contains(t, out.String(), "\nGRANT SELECT ON TABLE public.U&\"evil\\001B[2J\\000A✓ good\" TO d;\n")
	require.Contains(t, out.String(), "  Try: look at \\x1b[2J\n")
	require.Contains(t, out.String(), "  Try: dirtbike check --json, which has the statement")
}
