package main

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// What strangers, or a server that fails, can make the log repeat has a rate: of one line rateOfLine a rateWindow, of
// all lines of one text rateOfText. The first one after that says how many were left out. Level debug is not limited:
// who asks for it wants all.
const (
	rateWindow = time.Minute
	rateOfLine = 20
	rateOfText = 2000 // a start logs some lines for each table
	ratedLines = 20_000
)

// ratedCore bounds how often a line is repeated. Two lines are the same if level, logger, text and the names in their
// fields are, whatever numbers are in the text.
type ratedCore struct {
	zapcore.Core
	rates *rates
	names string // in the fields that are there already
}

func newRatedCore(core zapcore.Core) zapcore.Core {
	return ratedCore{Core: core, rates: &rates{seed: maphash.MakeSeed(), lines: map[uint64]*lineRate{}}}
}

// With implements zapcore.Core.
func (c ratedCore) With(fields []zapcore.Field) zapcore.Core {
	return ratedCore{c.Core.With(fields), c.rates, c.names + names(fields)}
}

// Check implements zapcore.Core.
func (c ratedCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c ratedCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level == zapcore.DebugLevel {
		return c.Core.Write(e, fields)
	}
	text := e.Level.String() + "\x00" + e.LoggerName + "\x00" + withoutNumbers(e.Message)
	write, leftOut := c.rates.take(e.Time, text, c.names+names(fields))
	if !write {
		return nil
	}
	if leftOut > 0 {
		fields = append(slices.Clip(fields), zap.Int("like_it_left_out", leftOut))
	}
	return c.Core.Write(e, fields)
}

// names joins the fields that say what a line is about.
func names(fields []zapcore.Field) string {
	var out strings.Builder
	for _, f := range fields {
		switch f.Key {
		case "table", "topic", "view", "what", "subject", "column":
			out.WriteString("\x00" + f.String)
		}
	}
	return out.String()
}

// withoutNumbers makes texts equal that differ in numbers only.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// rates count lines. They are safe for concurrent use.
type rates struct {
	seed  maphash.Seed
	mu    sync.Mutex
	lines map[uint64]*lineRate
}

// lineRate is that of one line, or of all lines of one text.
type lineRate struct {
	began            time.Time
	written, leftOut int
}

// take counts a line: whether it is written, and how many like it have been left out before it.
func (r *rates) take(now time.Time, text, names string) (write bool, leftOut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) >= ratedLines {
		clear(r.lines)
	}
	all := r.at(now, text)
	if all.written >= rateOfText { // names that strangers choose are not remembered, either
		all.leftOut++
		return false, 0
	}
	line := r.at(now, text+"\x00line"+names)
	if line.written >= rateOfLine {
		line.leftOut++
		return false, 0
	}
	line.written, all.written = line.written+1, all.written+1
	leftOut = line.leftOut + all.leftOut
	line.leftOut, all.leftOut = 0, 0
	return true, leftOut
}

// at gives what is counted under a key in the present window.
func (r *rates) at(now time.Time, key string) *lineRate {
	hash := maphash.String(r.seed, key)
	of := r.lines[hash]
	if of == nil {
		of = &lineRate{began: now}
		r.lines[hash] = of
	}
	if now.Sub(of.began) >= rateWindow {
		of.began, of.written = now, 0
	}
	return of
}
