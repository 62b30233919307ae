package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPageIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../../" + page)
	require.NoError(t, err)
	require.Equal(t, markdown(), string(text), "TYPES.md is stale. Try: go generate ./schemas")
}
