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

// Progress is called during downloads. Its methods may be called concurrently.
type Progress interface {
	// Start begins a task of the given size in bytes.
	Start(name string, total int64) Task
}

// Task is one download. Its methods are called by one goroutine at a time.
type Task interface {
	// Set says how many bytes there are so far; it never exceeds the total.
	Set(bytes int64)
	// Done ends the task, well if err is nil.
	Done(err error)
}

// NewProgress shows progress on w: bars with an ETA if w is a terminal, else a line at the start and the end of each
// task.
func NewProgress(w io.Writer) Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &barProgress{w: w}
	}
	return &lineProgress{w: w}
}

// barProgress draws bars; the renderer runs while a task is open.
type barProgress struct {
	w io.Writer

	mu   sync.Mutex
	pw   progress.Writer
	done chan struct{} // closed when the renderer has ended
	open int
}

func (b *barProgress) Start(name string, total int64) Task {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == 0 {
		b.render()
	}
	b.open++
	t := &progress.Tracker{Message: "installing " + name, Total: total, Units: progress.UnitsBytes}
	b.pw.AppendTracker(t)
	return &barTask{b: b, t: t}
}

func (b *barProgress) render() {
	pw := progress.NewWriter()
	pw.SetOutputWriter(b.w)
	pw.SetAutoStop(false)
	pw.SetUpdateFrequency(100 * time.Millisecond)
	pw.SetStyle(progress.StyleBlocks)
	pw.SetTrackerPosition(progress.PositionRight)
	pw.Style().Visibility.ETA = true
	done := make(chan struct{})
	b.pw, b.done = pw, done
	go func() {
		defer close(done)
		pw.Render()
	}()
}

type barTask struct {
	b *barProgress
	t *progress.Tracker
}

func (t *barTask) Set(bytes int64) { t.t.SetValue(min(bytes, t.t.Total-1)) }

func (t *barTask) Done(err error) {
	if err != nil {
		t.t.MarkAsErrored()
	} else {
		t.t.MarkAsDone()
	}
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	t.b.open--
	if t.b.open == 0 {
		t.b.stop()
	}
}

// stop ends the renderer. A Stop that comes before the renderer has begun is lost, so it is repeated.
func (b *barProgress) stop() {
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

// lineProgress writes plain lines, for logs and pipes.
type lineProgress struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineProgress) Start(name string, total int64) Task {
	l.printf("installing %s (%d MB)\n", name, total/1_000_000)
	return &lineTask{l: l, name: name, begun: time.Now()}
}

func (l *lineProgress) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format, args...)
}

type lineTask struct {
	l     *lineProgress
	name  string
	begun time.Time
}

func (*lineTask) Set(int64) {}

func (t *lineTask) Done(err error) {
	if err != nil {
		t.l.printf("installing %s failed\n", t.name)
		return
	}
	t.l.printf("installed %s in %s\n", t.name, time.Since(t.begun).Round(100*time.Millisecond))
}
