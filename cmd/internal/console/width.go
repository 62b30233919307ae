package console

import (
	"io"
	"strings"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

const (
	// usualWidth is the width of a text if that of the page is not known: in a file, a pipe or a ticket.
	usualWidth = 120
	// leastWidth is the smallest width of a text, even on a narrower terminal.
	leastWidth = 60
)

// Width is how many columns a text for w may take: those of the terminal that it is, or that its Fd names, or else 120;
// never less than 60.
func Width(w io.Writer) int {
	file, is := w.(interface{ Fd() uintptr })
	if !is {
		return usualWidth
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return usualWidth // it is no terminal, or does not know its size
	}
	return max(width, leastWidth)
}

// Wrap breaks a text between words into lines of at most width columns, the first after one margin, the others after
// another. A word that is wider than a line, as a long name or a URL, stays whole.
func Wrap(text, first, next string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = first + word
		case prettytext.StringWidthWithoutEscSequences(line+" "+word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), next+word
		}
	}
	return append(lines, line)
}
