package demo

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"dirtbike/cmd/internal/console"
)

// screen writes for people: on a terminal a block at the end is updated in place, elsewhere lines follow each other. It
// is safe for concurrent use.
type screen struct {
	out      io.Writer
	terminal bool
	colour   bool
	columns  func() int // of the terminal, 0 if unknown

	mu      sync.Mutex
	block   []string // what is updated in place, as the terminal shows it
	notes   []string // the block's last lines, which updates keep
	printed time.Time
}

func newScreen(out io.Writer, terminal bool) *screen {
	s := &screen{out: out, terminal: terminal, printed: time.Now(), colour: terminal && os.Getenv("NO_COLOR") == ""}
	s.columns = s.askColumns
	return s
}

// say prints lines that stay, above the block if there is one. On a terminal, what is too long is wrapped between
// words.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		lines = append(lines, s.wrapped(line)...)
	}
	s.draw(lines, s.block)
}

// note adds a line to the end of the block, where it stays while the block is updated.
func (s *screen) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		fmt.Fprintln(s.out, line)
		return
	}
	lines := s.wrapped(line)
	s.notes = append(s.notes, lines...)
	s.draw(nil, append(slices.Clone(s.block), lines...))
}

// heading begins a part.
func (s *screen) heading(title string) { s.say("\n%s", s.paint(title, text.Bold)) }

// plain prints a line only where nothing is updated in place.
func (s *screen) plain(format string, args ...any) {
	if !s.terminal {
		s.say(format, args...)
	}
}

// plainEvery is how often a changing block is printed where nothing can be updated in place.
const plainEvery = 5 * time.Second

// update shows the lines in the place of the block before; where there is no terminal, the one line now and then.
func (s *screen) update(lines []string, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.draw(nil, append(slices.Clone(lines), s.notes...))
		return
	}
	if time.Since(s.printed) >= plainEvery {
		s.printed = time.Now()
		fmt.Fprintln(s.out, line)
	}
}

// keep ends the updates of the block: what follows is written after it.
func (s *screen) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block, s.notes, s.printed = nil, nil, time.Now()
}

// draw overwrites the block by lines that stay and the new block, in one write, without clearing first: so nothing
// flickers.
func (s *screen) draw(lines, block []string) {
	var b strings.Builder
	if len(s.block) > 0 {
		b.WriteString("\r" + text.CursorUp.Sprintn(len(s.block)))
	}
	room := s.room()
	for i, l := range slices.Concat(lines, block) {
		if i >= len(lines) && room > 0 {
			l = text.Trim(l, room) // a line that wraps would move the block down
		}
		b.WriteString(l)
		if s.terminal {
			b.WriteString(text.EraseLine.Sprint())
		}
		b.WriteString("\n")
	}
	if len(lines)+len(block) < len(s.block) {
		b.WriteString("\x1b[J")
	}
	s.block = block
	fmt.Fprint(s.out, b.String())
}

// room is how many columns a line may take, 0 if that is unknown: one less than the terminal has, since erasing the
// rest of a full line would take its last character.
func (s *screen) room() int { return max(s.columns()-1, 0) }

// wrapped breaks a line that has no room; what follows is indented as the line is.
func (s *screen) wrapped(line string) []string {
	if room := s.room(); room > 0 && text.StringWidthWithoutEscSequences(line) > room {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		return console.Wrap(line, indent, indent, room)
	}
	return []string{line}
}

// fitting leaves out of a URL that is wider than the terminal what Postgres' clients take as defaults, so that it is
// not broken.
func (s *screen) fitting(url string) string {
	if room := s.room(); room > 0 && len(console.Indent+url) > room {
		return strings.TrimSuffix(url, "?sslmode=disable")
	}
	return url
}

// askColumns gives the width of the terminal, 0 if there is none.
func (s *screen) askColumns() int {
	file, ok := s.out.(*os.File)
	if !s.terminal || !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// paint colours a text, where colours are shown.
func (s *screen) paint(what string, colours ...text.Color) string {
	if !s.colour || what == "" {
		return what
	}
	return text.Colors(colours).EscapeSeq() + what + text.EscapeReset
}

func (s *screen) good(what string) string  { return s.paint(what, text.FgGreen) }
func (s *screen) bad(what string) string   { return s.paint(what, text.FgRed) }
func (s *screen) quiet(what string) string { return s.paint(what, text.Faint) }
