package capture

import (
	"dirtbike/cdc"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSeveralProblems of a start are one line in a log, and one line each for people.
func TestSeveralProblems(t *testing.T) {
	a, b := errors.New("a.a: no policy. Try: keep or hash"), errors.New("a.b: no key.\nTry: add one")
	err := fmt.Errorf("capture: %w: %w", cdc.ErrRefused, unfit([]error{a, a}, []*cdc.Table{{Refused: b}}))
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.ErrorIs(t, err, a)
	require.EqualError(t, err, "capture: refused: a.a: no policy. Try: keep or hash; a.b: no key.; Try: add one")
	require.Equal(t, "capture: refused:\na.a: no policy. Try: keep or hash\na.b: no key.; Try: add one", cdc.Lines(err))
	require.Equal(t, "a.a: no policy. Try: keep or hash", cdc.Lines(unfit([]error{a}, nil)))
	require.Equal(t, "plain", cdc.Lines(errors.New("plain")))
	require.NoError(t, unfit(nil, []*cdc.Table{{}}))
}
