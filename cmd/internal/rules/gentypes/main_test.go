package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

func TestArchitectureHasTheTypeTable(t *testing.T) {
	text, err := os.ReadFile("../" + page)
	require.NoError(t, err)
	want, err := replace(string(text), schemas.TypeTableMarkdown())
	require.NoError(t, err)
	require.Equal(t, want, string(text), "ARCHITECTURE.md is stale. Try: go generate ./cmd/internal/rules")
}

func TestReplace(t *testing.T) {
	got, err := replace("a\n"+begin+"old\n"+end+"b\n", "new\n")
	require.NoError(t, err)
	require.Equal(t, "a\n"+begin+"new\n"+end+"b\n", got)

	for name, text := range map[string]string{
		"no marks": "a\n", "two": begin + begin + end, "wrong order": end + begin,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replace(text, "new\n")
			require.Error(t, err)
		})
	}
}
