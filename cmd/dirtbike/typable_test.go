package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"dirtbike/cmd/internal/console"
)

// TestTypable: a printed command can be typed as it is, also where the config has another name.
func TestTypable(t *testing.T) {
	a := &app{stdout: io.Discard, stderr: io.Discard}
	const text = "stop capture (dirtbike run or dirtbike capture). Try: dirtbike resnapshot public.a, or dirtbike check --config mine.yaml; dirtbike --help, dirtbike embedded"
	root := a.root()
	root.SetArgs([]string{"version"})
	require.NoError(t, root.Execute())
	require.Equal(t, text, a.typable(text), "the default needs no flag")
	root.SetArgs([]string{"version", "--config", "my conf/it's.yaml"})
	require.NoError(t, root.Execute())
	require.Equal(t, `stop capture (dirtbike run --config 'my conf/it'\''s.yaml' or dirtbike capture --config 'my conf/it'\''s.yaml'). `+
		`Try: dirtbike resnapshot --config 'my conf/it'\''s.yaml' public.a, or dirtbike check --config mine.yaml; dirtbike --help, dirtbike embedded`, a.typable(text))

	noConfig := []string{"bench", "completion", "demo", "embedded", "explain", "help", "init", "version"}
	for _, verb := range root.Commands() {
		printed := "dirtbike " + verb.Name()
		require.Equal(t, slices.Contains(noConfig, verb.Name()), a.typable(printed) == printed, printed)
	}
	require.Equal(t, `Try: dirtbike purge --config 'my conf/it'\''s.yaml' public.a --yes, which cannot be undone`, a.typable("Try: dirtbike purge public.a --yes, which cannot be undone"))

	const named = `Try: ALTER TABLE public."dirtbike run" ADD COLUMN x int; "!public.dirtbike run"`
	require.Equal(t, named, a.typable(named))
	require.Equal(t, `$'a\x0ab\x27\x1b.yaml'`, console.Shell("a\nb'\x1b.yaml"))

	var out bytes.Buffer
	n, err := typableWriter{&out, a}.Write([]byte("│ dirtbike run │\nTry: dirtbike run\n"))
	require.NoError(t, err)
	require.Equal(t, 39, n)
	require.Equal(t, "│ dirtbike run │\nTry: dirtbike run --config 'my conf/it'\\''s.yaml'\n", out.String())

	var errs bytes.Buffer
	a = &app{stderr: &errs, logLevel: "info", logFormat: "json"}
	require.NoError(t, a.root().ParseFlags([]string{"--config", "b.yaml"}))
	log, err := a.logger()
	require.NoError(t, err)
	log.With(zap.String("a", "dirtbike wait")).Info("Try: dirtbike status", zap.Error(errors.New("Try: dirtbike run")), zap.Int("n", 1))
	log.Error("quarantined", zap.String("error", "no key. Try: add one; then dirtbike resnapshot public.a"))
	require.Contains(t, errs.String(), `"error":"no key. Try: add one; then stop capture and dirtbike resnapshot --config b.yaml public.a"`)
	require.Contains(t, errs.String(), `"msg":"Try: dirtbike status --config b.yaml","a":"dirtbike wait","error":"Try: dirtbike run --config b.yaml","n":1}`)
}
