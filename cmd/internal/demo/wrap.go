package demo

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// wrapped breaks a line between words so that none is wider than width columns and all are about equally long; 0 is no
// bound. A word that is wider, such as a URL, stays whole. What follows is indented as the line is.
func wrapped(line string, width int) []string {
	if width <= 0 || text.StringWidthWithoutEscSequences(line) <= width {
		return []string{line}
	}
	lines := wrappedAt(line, width)
	for narrower := width - 1; narrower > 0; narrower-- {
		even := wrappedAt(line, narrower)
		if len(even) > len(lines) {
			break
		}
		lines = even
	}
	return lines
}

// indented is by how much what is said is indented.
const indented = 2

// fitting leaves from a URL that is wider than the terminal what Postgres' clients take for granted, so that it is not
// broken.
func (s *screen) fitting(url string) string {
	if room := s.room(); room > 0 && indented+len(url) > room {
		return strings.TrimSuffix(url, "?sslmode=disable")
	}
	return url
}

// wrappedAt puts as many words into each line as there is room for.
func wrappedAt(line string, width int) (lines []string) {
	body := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(body)]
	words := strings.Split(body, " ")
	current, gap := indent+words[0], ""
	for _, word := range words[1:] {
		gap += " "
		switch {
		case word == "": // columns are set apart by more than one space
		case text.StringWidthWithoutEscSequences(current+gap+word) <= width:
			current, gap = current+gap+word, ""
		default:
			lines = append(lines, current)
			current, gap = indent+word, ""
		}
	}
	return append(lines, current)
}
