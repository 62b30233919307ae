package console

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"public.patients – übung 患者":      "public.patients – übung 患者",
		"evil\x1b[2J\x1b]0;x\x07\n✓ good": `evil\x1b[2J\x1b]0;x\x07 ✓ good`,
		"a\r\tb\x7f":                      `a  b\x7f`,
		"bad \xff utf8":                   `bad \xff utf8`,
		"c1 \u009b31m":                    `c1 \xc2\x9b31m`,
		"bidi \u202e.":                    `bidi \xe2\x80\xae.`,
	} {
		require.Equal(t, want, Printable(s))
		require.Equal(t, want, Printable(want))
	}
	require.Equal(t, "a\\x1b\nb", PrintableLines("a\x1b\nb"))
}
