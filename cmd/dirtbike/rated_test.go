package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time                         { return c.now }
func (c *clock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// letters writes a digit as a letter.
func letters(r rune) rune { return r - '0' + 'a' }

// TestRepeatedLinesHaveARate: whatever the process logs again and again, a line is written a few times a minute, then
// counted; lines about other tables, and those of level debug, are not affected. What is remembered is bounded.
func TestRepeatedLinesHaveARate(t *testing.T) {
	core, lines := observer.New(zap.DebugLevel)
	at := &clock{now: time.Now()}
	rated := newRatedCore(core).(ratedCore)
	log := zap.New(rated, zap.WithClock(at))
	for i := range 5000 {
		log.Warn(fmt.Sprintf("http: TLS handshake error from 127.0.0.1:%d", i))
		log.Warn("trying again", zap.String("what", "insert"), zap.Error(fmt.Errorf("after %d", i)), zap.Int("n", i))
		log.Named("client").Info("trying again")
		log.With(zap.String("table", "public.a")).Error("it waits")
		log.Debug("trying again")
	}
	require.Equal(t, 4*rateOfLine+5000, lines.Len())
	lines.TakeAll()
	log.Error("it waits", zap.String("table", "public.b"))
	require.Equal(t, 1, lines.Len(), "it is about another table")

	at.now = at.now.Add(rateWindow)
	log.Warn("trying again", zap.String("what", "insert"), zap.Error(errors.New("still")))
	require.EqualValues(t, 5000-rateOfLine, lines.All()[1].ContextMap()["like_it_left_out"])
	log.Warn("trying again", zap.String("what", "insert"))
	require.NotContains(t, lines.All()[2].ContextMap(), "like_it_left_out")

	lines.TakeAll()
	for i := range 3 * ratedLines {
		log.Info("a topic that is not ours", zap.String("topic", fmt.Sprint("foreign", i)))
	}
	require.Equal(t, rateOfText, lines.Len(), "names that strangers choose give no more lines")
	for i := range 3 * ratedLines {
		log.Info(strings.Map(letters, fmt.Sprint(i)))
		require.LessOrEqual(t, len(rated.rates.lines), ratedLines+1)
	}
	require.False(t, rated.Core.Enabled(zapcore.DebugLevel-1))

	var written strings.Builder
	log, err := (&app{stderr: &written, logLevel: "info", logFormat: "json"}).logger()
	require.NoError(t, err)
	for range 5000 {
		log.Warn("trying again")
	}
	require.Equal(t, rateOfLine, strings.Count(written.String(), "\n"), "the log of a process has it")
}
