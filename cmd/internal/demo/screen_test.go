package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBlockIsUpdatedInPlace(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	var out bytes.Buffer
	s := newScreen(&out, true)
	s.update([]string{"a 1", "b 1"}, "plain")
	s.say("event")
	s.update([]string{"a 2"}, "plain")
	s.keep()
	s.say("after")
	require.Equal(t, strings.Join([]string{
		"a 1\x1b[K\nb 1\x1b[K\n",
		"\r\x1b[2Aevent\x1b[K\na 1\x1b[K\nb 1\x1b[K\n", // above the block, which moves down whole
		"\r\x1b[2Aa 2\x1b[K\n\x1b[J",
		"after\x1b[K\n",
	}, ""), out.String())
}

func TestPlainLinesWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, false)
	s.update([]string{"block"}, "too early")
	s.printed = time.Now().Add(-plainEvery)
	s.update([]string{"block"}, "in time")
	s.update([]string{"block"}, "too early again")
	s.plain("event")
	s.say("%s", s.good("said"))
	require.Equal(t, "in time\nevent\nsaid\n", out.String())
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	require.Equal(t, "\x1b[32mx\x1b[0m", newScreen(nil, true).good("x"))
	require.Equal(t, "x", newScreen(nil, false).good("x"))
}

func TestTimeLeft(t *testing.T) {
	begun := time.Now().Add(-10 * time.Second)
	require.Equal(t, "10 s", (&bar{done: 50, total: 100, began: begun}).left())
	require.Equal(t, "17 min", (&bar{done: 1, total: 100, began: begun}).left())
	require.Equal(t, "–", (&bar{total: 100}).left())
}
