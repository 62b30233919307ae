package checks

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPageIsWhole: every entry has a slug of its own and three paragraphs of sentences.
func TestPageIsWhole(t *testing.T) {
	require.Len(t, Groups(), 3)
	require.Equal(t, len(All()), strings.Count(page, "\n### "))
	seen := map[string]bool{}
	for _, c := range All() {
		require.Regexp(t, regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`), c.Slug)
		require.False(t, seen[c.Slug], "%s is there twice", c.Slug)
		seen[c.Slug] = true
		for _, text := range []string{c.Meaning, c.Safe, c.Do} {
			require.True(t, strings.HasSuffix(text, "."), "%s: %q", c.Slug, text)
		}
	}
}

func TestFind(t *testing.T) {
	c, known := Find("slot")
	require.True(t, known)
	require.Equal(t, "dirtbike explain slot", c.Reference())
	_, known = Find("slots")
	require.False(t, known)
	require.Equal(t, "clickhouse", Groups()[0].Checks[0].Slug)
	require.Equal(t, "config-file", Groups()[1].Checks[0].Slug)
}
