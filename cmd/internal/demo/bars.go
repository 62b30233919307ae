package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// bars show how far each table has come, and what is left. One goroutine at a time uses them.
type bars struct {
	screen *screen
	order  []string
	tables map[string]*bar
	// expected is how many rows there are in all tables, about, before every table has been set.
	expected int64
	began    time.Time
	drawn    time.Time
	// complete: nothing is missing; over: nothing will come any more.
	complete, over bool
}

// bar is one table's.
type bar struct {
	done, total int64
	began       time.Time // when its first row came
}

// bars begins a part with a bar for each table that will be set; expected is about how many rows there are in all.
func (s *screen) bars(title string, expected int64) *bars {
	s.heading(title)
	return &bars{screen: s, tables: map[string]*bar{}, expected: expected, began: time.Now()}
}

// drawEvery is the shortest time between two states of the bars.
const drawEvery = 100 * time.Millisecond

// set moves a table's bar; a total that proves too low is raised.
func (b *bars) set(table string, done, total int64) {
	t := b.tables[table]
	if t == nil {
		t = &bar{}
		b.tables[table], b.order = t, append(b.order, table)
	}
	if t.done == 0 && done > 0 {
		t.began = time.Now()
	}
	t.done, t.total = done, max(done, total)
	if time.Since(b.drawn) >= drawEvery {
		b.draw()
	}
}

func (b *bars) draw() {
	b.drawn = time.Now()
	lines := make([]string, 0, len(b.order)+1)
	all := bar{began: b.began}
	for _, table := range b.order {
		t := b.tables[table]
		all.done, all.total = all.done+t.done, all.total+t.total
		lines = append(lines, b.line(strings.TrimPrefix(table, "public."), t))
	}
	all.total = max(all.total, b.expected)
	lines = append(lines, b.line("all", &all))
	b.screen.update(lines, fmt.Sprintf("  %s of %s rows in %.1f s", humanize.Comma(all.done), humanize.Comma(all.total), time.Since(b.began).Seconds()))
}

// The columns of a bar's line.
const (
	nameWidth  = 12
	barWidth   = 24 // so that all of it fits into 80 columns
	countWidth = 11
)

func (b *bars) line(name string, t *bar) string {
	full := 0
	if t.total > 0 {
		full = int(barWidth * t.done / t.total)
	}
	ends := ""
	switch {
	case t.done == t.total:
		ends = b.screen.good("✓")
	case !b.over:
		ends = b.screen.quiet("ETA " + t.left())
	}
	return fmt.Sprintf("  %-*s %s%s %*s of %*s   %s", nameWidth, name, b.screen.good(strings.Repeat("█", full)), b.screen.quiet(strings.Repeat("░", barWidth-full)),
		countWidth, humanize.Comma(t.done), countWidth, humanize.Comma(t.total), ends)
}

// left is how long it takes at the rate so far.
func (t *bar) left() string {
	passed := time.Since(t.began)
	if t.done == 0 || passed < drawEvery {
		return "–"
	}
	seconds := passed.Seconds() * float64(t.total-t.done) / float64(t.done)
	if seconds >= 90 {
		return fmt.Sprintf("%.0f min", seconds/60)
	}
	return fmt.Sprintf("%.0f s", seconds)
}

// finish says that nothing is missing: totals were estimates.
func (b *bars) finish() {
	b.complete, b.expected = true, 0
	for _, t := range b.tables {
		t.total = t.done
	}
}

// close leaves the last state on the screen, with the rate if nothing is missing: that of a part says nothing.
func (b *bars) close() {
	b.over = true
	var rows int64
	for _, t := range b.tables {
		rows += t.done
	}
	if b.screen.terminal && (rows > 0 || !b.drawn.IsZero()) {
		b.draw()
	}
	b.screen.keep()
	if !b.complete {
		return
	}
	elapsed := time.Since(b.began).Seconds()
	b.screen.say("  %s rows in %.1f s, %s rows/s", humanize.Comma(rows), elapsed, humanize.Comma(int64(float64(rows)/elapsed)))
}
