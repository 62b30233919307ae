package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/rules/section"
	"dirtbike/schemas"
)

func TestArchitectureHasTheTypeTable(t *testing.T) {
	page, err := os.ReadFile("../" + section.Architecture)
	require.NoError(t, err)
	want, err := section.Replace(string(page), name, schemas.TypeTableMarkdown())
	require.NoError(t, err)
	require.Equal(t, want, string(page), "ARCHITECTURE.md is stale. Try: go generate ./cmd/internal/rules")
}
