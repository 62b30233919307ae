package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

// TestTooDeep: nesting that would take the parser long, or all of its stack, is refused beforehand, with its place.
func TestTooDeep(t *testing.T) {
	indented := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
		}
		return b.String()
	}
	for name, c := range map[string]struct{ text, place string }{
		"lists":     {"source: " + strings.Repeat("[", 100_000), "1:107"},
		"closed":    {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "1:100"},
		"mappings":  {"a:\n  " + strings.Repeat("{a: ", 100_000), "2:395"},
		"dashes":    {strings.Repeat("- ", 100_000) + "a", "1:201"},
		"keys":      {strings.Repeat("? ", 100_000) + "a", "1:201"},
		"tags":      {strings.Repeat("!a ", 100_000) + "a", "1:"},
		"anchors":   {strings.Repeat("&a ", 100_000) + "a", "1:"},
		"indented":  {indented(1200), "101:101"},
		"once more": {"[[]]\n---\n" + strings.Repeat("[", 100_000), "3:"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := config.Parse("a.yaml", []byte(c.text))
			var problems config.Errors
			require.ErrorAs(t, err, &problems)
			require.True(t, strings.HasPrefix(fmt.Sprintf("%d:%d", problems[0].Line, problems[0].Column), c.place), err)
			require.True(t, nested(err), err)
			requireTry(t, err)
			require.Less(t, time.Since(began), 10*time.Second, "a file that a parser without bounds takes minutes for")
		})
	}
	_, err := config.Parse("a.yaml", []byte("source:\n"+strings.Repeat("[", 99)+strings.Repeat("]", 99)))
	require.False(t, nested(err))
	for _, text := range []string{
		indented(100), "a: [" + strings.Repeat("[a, {b: c}], ", 10_000) + "]", strings.Repeat("a: {b: c} # d\n"+strings.Repeat(" ", 300)+"# e\n", 300), strings.Repeat("- a: b\n  c:\n  - d\n", 300),
	} {
		_, err = config.Parse("a.yaml", []byte(text))
		require.False(t, nested(err), text)
	}
}

// nested reports whether the file was refused for its depth: that is its only problem, and of no key.
func nested(err error) bool {
	var all config.Errors
	return errors.As(err, &all) && len(all) == 1 && all[0].Key == "" && strings.Contains(all[0].What, "deeper")
}
