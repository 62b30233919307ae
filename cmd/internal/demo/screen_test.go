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

func TestNoteStaysUnderTheBlock(t *testing.T) {
	s, out := onTerminal(t, 80)
	s.update([]string{"a 1"}, "plain")
	s.note("note")
	s.update([]string{"a 2"}, "plain")
	s.keep()
	s.update([]string{"b 1"}, "plain")
	require.Equal(t, strings.Join([]string{
		"a 1\x1b[K\n",
		"\r\x1b[1Aa 1\x1b[K\nnote\x1b[K\n",
		"\r\x1b[2Aa 2\x1b[K\nnote\x1b[K\n",
		"b 1\x1b[K\n",
	}, ""), out.String())

	var plain bytes.Buffer
	newScreen(&plain, false).note("note")
	require.Equal(t, "note\n", plain.String(), "at once where nothing is updated in place")
}

// TestBlockIsCut keeps every line of the block to one line of the terminal, also when it is drawn for the first time.
func TestBlockIsCut(t *testing.T) {
	s, out := onTerminal(t, 6)
	s.update([]string{"1234567"}, "plain")
	require.Equal(t, "12345\x1b[K\n", out.String())
}

// TestBarsNeverExceedTheirTotals shows an estimate that was too low as what it has become.
func TestBarsNeverExceedTheirTotals(t *testing.T) {
	s, out := onTerminal(t, 80)
	b := s.bars("title", 900)
	b.set("public.visits", 600, 500)
	b.set("public.claims", 400, 500)
	out.Reset()
	b.draw()
	require.Regexp(t, `visits +█{24} +600 of +600 +✓`, out.String())
	require.Regexp(t, `claims +█+░+ +400 of +500 `, out.String())
	require.Regexp(t, `all +█+░+ +1,000 of +1,100 `, out.String())
}

// TestBarsGiveARateOnlyIfComplete leaves out what says nothing after an interrupt.
func TestBarsGiveARateOnlyIfComplete(t *testing.T) {
	s, out := onTerminal(t, 80)
	s.bars("title", 900).close()
	require.Equal(t, []string{"", "title"}, shown(out.String()))

	b := s.bars("title", 900)
	b.set("public.visits", 300, 500)
	b.close()
	require.NotContains(t, out.String(), "rows/s")
	require.NotContains(t, out.String()[strings.LastIndex(out.String(), "visits"):], "ETA", "nothing will come any more")

	b.finish()
	b.close()
	require.Regexp(t, `\n  300 rows in \d+\.\d s, [\d,]+ rows/s`, out.String())
}

func TestKilledJustBeforeTheEnd(t *testing.T) {
	s, _ := onTerminal(t, 80)
	k := &kills{demo: &demo{screen: s}, done: []*killed{{part: "capture", at: time.Second, fresh: 2 * time.Second}, {part: "ClickHouse", at: 9 * time.Second}}}
	require.Contains(t, k.lines()[1], "catching up")
	k.stop()
	require.Contains(t, k.lines()[0], "✓ fresh again after 2.0 s")
	require.Contains(t, k.lines()[1], "started again, not timed")
}
