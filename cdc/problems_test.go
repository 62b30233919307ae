package cdc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSeveralProblems of a start are one line in a log, and one line each for people.
func TestSeveralProblems(t *testing.T) {
	a, b := errors.New("a.a: no policy. Try: keep or hash"), errors.New("a.b: no key.\nTry: add one")
	err := fmt.Errorf("capture: %w: %w", ErrRefused, unfit([]error{a, a}, []*Table{{Refused: b}}))
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorIs(t, err, a)
	require.EqualError(t, err, "capture: refused: a.a: no policy. Try: keep or hash; a.b: no key.; Try: add one")
	require.Equal(t, "capture: refused:\na.a: no policy. Try: keep or hash\na.b: no key.; Try: add one", Lines(err))
	require.Equal(t, "a.a: no policy. Try: keep or hash", Lines(unfit([]error{a}, nil)))
	require.Equal(t, "plain", Lines(errors.New("plain")))
	require.NoError(t, unfit(nil, []*Table{{}}))
}
