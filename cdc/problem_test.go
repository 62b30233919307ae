package cdc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProblemIsOneLine: the text of every message is written in one place, and its fields survive wrapping.
func TestProblemIsOneLine(t *testing.T) {
	cause := errors.New("first line\nsecond line")
	p := Refused("slot %s is a physical slot", "s1").At("database clinic").Because(cause).Keeps("Nothing was read").
		Fix("another name in source.slot").FixBy("a superuser", "DROP it")
	says(t, "refused: database clinic: slot s1 is a physical slot: first line; second line. Nothing was read. "+
		"Try: another name in source.slot, or as a superuser: DROP it", p)
	require.ErrorIs(t, p, ErrRefused)
	require.ErrorIs(t, p, cause)

	wrapped := fmt.Errorf("capture: %w", p)
	got := Explain(wrapped)
	require.Equal(t, "capture: database clinic: slot s1 is a physical slot: first line; second line", got.What)
	require.Equal(t, p.Try, got.Try)
	require.Equal(t, "Nothing was read", got.Safe)
	require.Equal(t, ErrRefused, got.Kind)
}

// TestAdviceComesLast: a problem that wraps another one says the ways out once, at the end, and its own take the place
// of the cause's.
func TestAdviceComesLast(t *testing.T) {
	cause := fmt.Errorf("publication: %w", Failed("no right").FixBy("the owner", "GRANT x"))
	says(t, "start: publication: no right. Try, as the owner: GRANT x", Failed("start").Because(cause))
	says(t, "start: publication: no right. Try: y", Failed("start").Because(cause).Fix("y"))
	require.Equal(t, []Remedy{{By: "the owner", Command: "GRANT x"}}, Failed("start").Because(cause).Remedies())
}

// TestProblemsStoredAsText are read back into what and ways out.
func TestProblemsStoredAsText(t *testing.T) {
	for text, want := range map[string]Problem{
		"no key":                                 {What: "no key"},
		"no key. Try: add one":                   {What: "no key", Try: []Remedy{{Command: "add one"}}},
		"no right. Try, as a superuser: GRANT x": {What: "no right", Try: []Remedy{{By: "a superuser", Command: "GRANT x"}}},
	} {
		require.Equal(t, &want, ParseProblem(text))
		require.Equal(t, &want, Explain(errors.New(text)))
	}
	require.Nil(t, Explain(nil))
	require.Equal(t, Refused("a").Fix("b").Try, ParseProblem(Refused("a").Fix("b").Error()).Try)
}

// TestCausesWithoutFields: what the text of a cause says to do is the problem's way out, once.
func TestCausesWithoutFields(t *testing.T) {
	cause := errors.New("no right. Try, as the owner: GRANT x")
	says(t, "start: no right. Try, as the owner: GRANT x", Failed("start").Because(cause))
	says(t, "start: no right. Try: y", Failed("start").Because(cause).Fix("y"))
	says(t, "start: two; lines", Failed("start").Because(errors.New("two\nlines")))
}

// says requires the whole text of a problem.
func says(t *testing.T, want string, p *Problem) {
	t.Helper()
	require.EqualError(t, p, want)
}

// TestThen: what must follow every way out.
func TestThen(t *testing.T) {
	require.Equal(t, []Remedy{{Command: "c"}}, Failed("a").Then("c").Remedies())
	two := Failed("a").Fix("x").FixBy("the owner", "y")
	again := Failed("b").Because(two).Then("c")
	require.Equal(t, []Remedy{{Command: "x; then c"}, {By: "the owner", Command: "y; then c"}}, again.Remedies())
	require.Equal(t, []Remedy{{Command: "x"}, {By: "the owner", Command: "y"}}, two.Remedies())
}

func TestOrFix(t *testing.T) {
	require.Equal(t, []Remedy{{Command: "b"}}, Failed("a").OrFix("b").Remedies())
	require.Equal(t, []Remedy{{Command: "b"}}, Failed("a").Because(Failed("a").Fix("b")).OrFix("c").Remedies())
}

// TestTogether: one line says what all say, and at most one of them what to do.
func TestTogether(t *testing.T) {
	require.Equal(t, &Problem{What: "a; b; c", Try: []Remedy{{By: "x", Command: "y"}}},
		Together(errors.New("a"), errors.New("b. Try, as x: y"), Failed("c").Fix("z")))
	require.Equal(t, &Problem{What: "a; b"}, Together(errors.New("a"), errors.New("b")))
	require.Nil(t, Together())
}

// TestOneFullStop: servers end their errors with a full stop, and so do we.
func TestOneFullStop(t *testing.T) {
	fenced := errors.New("PRODUCER_FENCED: there is a newer producer with the same id.") //nolint:revive // as Kafka says it
	for _, p := range []*Problem{
		Failed("fenced").Because(fenced).Keeps("All is safe").Fix("stop one"),
		Failed("fenced").Because(fmt.Errorf("commit: %w", fenced)).Fix("stop one"),
		Failed("fenced").Because(Failed("within").Because(fenced).Fix("stop one")),
		Failed("it ended.").Fix("stop one"),
		(&Problem{Cause: fenced}).OrFix("stop one"),
	} {
		require.NotContains(t, p.Error(), "..")
		require.Equal(t, "stop one", p.Remedies()[0].Command)
		wrapped := fmt.Errorf("capture: %w", p)
		require.NotRegexp(t, `\.$`, Explain(wrapped).What)
		require.NotContains(t, Together(wrapped, p).Error(), "..")
		require.NotRegexp(t, `\.$`, ParseProblem(p.Error()).What)
	}
	require.Equal(t, "it ended", ParseProblem("it ended.").What)
}

// TestStopFirst: capture has to be stopped for a copy of tables, and is by then where everything is copied.
func TestStopFirst(t *testing.T) {
	for text, want := range map[string]string{
		"Try: dirtbike resnapshot public.a":                "Try: stop capture, then dirtbike resnapshot public.a",
		"Try: x; then dirtbike resnapshot 'public.a b'":    "Try: x; then stop capture and dirtbike resnapshot 'public.a b'",
		"Try: dirtbike resnapshot a.a, or y":               "Try: stop capture, then dirtbike resnapshot a.a, or y",
		"Try: " + ResnapshotAllCommand:                     "Try: " + ResnapshotAllCommand,
		"Stop capture, z, then dirtbike resnapshot a.a":    "Stop capture, z, then dirtbike resnapshot a.a",
		"Try: dirtbike status":                             "Try: dirtbike status",
		StopFirst("Try: " + ResnapshotCommand("public.a")): "Try: stop capture, then dirtbike resnapshot public.a",
	} {
		require.Equal(t, want, StopFirst(text))
	}
}
