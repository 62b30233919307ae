package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/text"
)

// screen writes for people: in place on a terminal, line by line elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	lines    int // of the block that is updated in place
	printed  time.Time
}

func newScreen(out io.Writer, terminal bool) *screen { return &screen{out: out, terminal: terminal} }

// say prints lines that stay.
func (s *screen) say(format string, args ...any) {
	s.lines = 0
	fmt.Fprintf(s.out, format+"\n", args...)
}

// plainEvery is how often a changing block is printed where nothing can be updated in place.
const plainEvery = 5 * time.Second

// update shows a block in the place of the one before.
func (s *screen) update(lines ...string) {
	if !s.terminal {
		if time.Since(s.printed) >= plainEvery {
			s.printed = time.Now()
			fmt.Fprintln(s.out, strings.Join(lines, " | "))
		}
		return
	}
	var b strings.Builder
	if s.lines > 0 {
		b.WriteString(text.CursorUp.Sprintn(s.lines))
	}
	for _, l := range lines {
		b.WriteString(text.EraseLine.Sprint() + l + "\n")
	}
	s.lines = len(lines)
	fmt.Fprint(s.out, b.String())
}

// bars are progress bars with what is left, one a table; plain lines where there is no terminal.
type bars struct {
	screen   *screen
	title    string
	writer   progress.Writer
	mu       sync.Mutex
	trackers map[string]*progress.Tracker
	done     map[string][2]int64
	began    time.Time
}

func (s *screen) bars(title string) *bars {
	b := &bars{screen: s, title: title, trackers: map[string]*progress.Tracker{}, done: map[string][2]int64{}, began: time.Now()}
	s.say("%s", title)
	if s.terminal {
		b.writer = progress.NewWriter()
		b.writer.SetOutputWriter(s.out)
		b.writer.SetAutoStop(false)
		b.writer.SetTrackerLength(30)
		b.writer.SetUpdateFrequency(100 * time.Millisecond)
		style := progress.StyleBlocks
		style.Visibility.ETA, style.Visibility.ETAOverall, style.Visibility.Speed = true, false, true
		b.writer.SetStyle(style)
		go b.writer.Render()
	}
	return b
}

// set moves a table's bar.
func (b *bars) set(table string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[table] = [2]int64{done, total}
	if b.writer == nil {
		b.plain()
		return
	}
	t := b.trackers[table]
	if t == nil {
		t = &progress.Tracker{Message: table, Total: max(total, 1), Units: progress.UnitsDefault}
		b.trackers[table] = t
		b.writer.AppendTracker(t)
	}
	t.SetValue(min(done, total))
	if done >= total {
		t.MarkAsDone()
	}
}

func (b *bars) plain() {
	var done, total int64
	for _, d := range b.done {
		done, total = done+d[0], total+d[1]
	}
	b.screen.update(fmt.Sprintf("  %s of %s rows in %.1f s", humanize.Comma(done), humanize.Comma(total), time.Since(b.began).Seconds()))
}

// close leaves the last state on the screen.
func (b *bars) close() {
	if b.writer != nil {
		b.writer.Stop()
		for b.writer.IsRenderInProgress() {
			<-time.After(10 * time.Millisecond)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var rows int64
	for _, d := range b.done {
		rows += d[0]
	}
	elapsed := time.Since(b.began)
	b.screen.say("  %s rows in %.1f s (%s rows/s)", humanize.Comma(rows), elapsed.Seconds(), humanize.Comma(int64(float64(rows)/elapsed.Seconds())))
}
