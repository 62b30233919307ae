package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"dirtbike/cdc"
)

// Printable makes one line of a text that holds names from elsewhere, for a terminal: line breaks and tabs become
// spaces, and bytes that a terminal might obey, or not show, are written as \xNN.
func Printable(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			out.WriteByte(' ')
		case r == utf8.RuneError && size == 1 || !unicode.IsPrint(r):
			for _, b := range []byte(s[i : i+size]) {
				fmt.Fprintf(&out, `\x%02x`, b)
			}
		default:
			out.WriteString(s[i : i+size])
		}
		i += size
	}
	return out.String()
}

// PrintableLines is Printable for a text of several lines, which it keeps.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Printable(line)
	}
	return strings.Join(lines, "\n")
}

// OneLine writes a text in one line: white space between words becomes one space.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Shell quotes a word for a shell, if it needs it; one that a terminal would not show gets bash's own form.
func Shell(word string) string { return cdc.ShellWord(word) }
