package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/rules/section"
)

func TestReadmeHasTheChecks(t *testing.T) {
	text, err := os.ReadFile("../" + section.Readme)
	require.NoError(t, err)
	want, err := section.Replace(string(text), name, markdown())
	require.NoError(t, err)
	require.Equal(t, want, string(text), "README.md is stale. Try: go generate ./cmd/internal/rules")
}
