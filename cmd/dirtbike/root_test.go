package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitGood, "Available Commands"},
		{[]string{"--help"}, exitGood, "Available Commands"},
		{[]string{"help", "verify"}, exitGood, "Compare every row"},
		{[]string{"verfy"}, exitWrong, "\"verfy\" is no verb of dirtbike.\nTry: dirtbike --help"},
		{[]string{"verify", "--nonsense"}, exitWrong, "Try: dirtbike verify --help"},
		{[]string{"run", "foo"}, exitWrong, "foo"},
		{[]string{"run", "--config", "nothing.yaml"}, exitWrong, "no config file nothing.yaml"},
	} {
		var out bytes.Buffer
		require.Equal(t, c.code, execute(t.Context(), c.args, &out, &out, nil), "%v: %s", c.args, &out)
		require.Contains(t, out.String(), c.says, "%v", c.args)
	}
}

func TestEmbeddedInterruptedAtStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.Equal(t, exitGood, execute(ctx, []string{"embedded", "--dir", t.TempDir()}, &out, &out, nil), "%s", &out)
}
