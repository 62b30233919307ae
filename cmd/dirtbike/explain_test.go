package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/checks"
	"dirtbike/config"
)

// TestExplain: every reference that messages can print is known, and what it prints fits a page.
func TestExplain(t *testing.T) {
	var everything bytes.Buffer
	require.Equal(t, exitGood, execute(t.Context(), []string{"explain", "all"}, &everything, &everything, nil))
	for _, c := range checks.All() {
		var out bytes.Buffer
		require.Equal(t, exitGood, execute(t.Context(), strings.Fields(c.Reference())[1:], &out, &out, nil), c.Slug)
		require.True(t, strings.HasPrefix(out.String(), c.Slug+"\n"))
		require.Contains(t, everything.String(), out.String())
	}
}

// TestExplainConfig: who has the binary alone can see every key.
func TestExplainConfig(t *testing.T) {
	var out bytes.Buffer
	require.Equal(t, exitGood, execute(t.Context(), []string{"explain", "config"}, &out, &out, nil))
	require.Equal(t, config.Sample, out.String())
}

func TestExplainProposesTheNearest(t *testing.T) {
	for slug, command := range map[string]string{"slots": "dirtbike explain slot", "postgres-slot ": "dirtbike explain postgres-slot", "whatever": "dirtbike explain all"} {
		var out bytes.Buffer
		require.Equal(t, exitWrong, execute(t.Context(), []string{"explain", slug}, &out, &out, nil), slug)
		require.True(t, strings.HasSuffix(out.String(), "\nTry: "+command+"\n"), "%s", &out)
	}
}
