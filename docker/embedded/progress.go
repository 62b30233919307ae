package embedded

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"golang.org/x/term"
)

// Progress begins to show a download of the given size in bytes. It gives what is called with the number of bytes so
// far, which never exceeds the size, and what ends it, well if err is nil. Downloads may go on at the same time.
type Progress func(name string, total int64) (set func(bytes int64), done func(err error))

// NewProgress shows progress on w: bars with an ETA if w is a terminal, else a line at the start and the end of each
// download.
func NewProgress(w io.Writer) Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return (&bars{w: w}).begin
	}
	return lineProgress(w)
}

// lineProgress is for logs and pipes.
func lineProgress(w io.Writer) Progress {
	var mu sync.Mutex
	printf := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, format, args...)
	}
	return func(name string, total int64) (func(int64), func(error)) {
		begun := time.Now()
		printf("installing %s (%d MB)\n", name, total/1_000_000)
		return func(int64) {}, func(err error) {
			if err != nil {
				printf("installing %s failed\n", name)
				return
			}
			printf("installed %s in %s\n", name, time.Since(begun).Round(100*time.Millisecond))
		}
	}
}

// bars draws bars; the renderer runs while a download is open.
type bars struct {
	w io.Writer

	mu   sync.Mutex
	pw   progress.Writer
	done chan struct{} // closed when the renderer has ended
	open int
}

func (b *bars) begin(name string, total int64) (func(int64), func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == 0 {
		b.render()
	}
	b.open++
	t := &progress.Tracker{Message: "installing " + name, Total: total, Units: progress.UnitsBytes}
	b.pw.AppendTracker(t)
	return func(bytes int64) { t.SetValue(min(bytes, total-1)) }, func(err error) {
		if err != nil {
			t.MarkAsErrored()
		} else {
			t.MarkAsDone()
		}
		b.end()
	}
}

func (b *bars) render() {
	pw, done := progress.NewWriter(), make(chan struct{})
	pw.SetOutputWriter(b.w)
	pw.SetAutoStop(false)
	pw.SetUpdateFrequency(100 * time.Millisecond)
	pw.SetStyle(progress.StyleBlocks)
	pw.SetTrackerPosition(progress.PositionRight)
	pw.Style().Visibility.ETA = true
	b.pw, b.done = pw, done
	go func() {
		defer close(done)
		pw.Render()
	}()
}

// end ends the renderer with the last download. A Stop that comes before the renderer has begun is lost, so it is
// repeated.
func (b *bars) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open--; b.open > 0 {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b.pw.Stop()
		select {
		case <-b.done:
			return
		case <-tick.C:
		}
	}
}
