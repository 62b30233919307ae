package console

import (
	"io"
	"regexp"
	"strings"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

const (
	// usualWidth is how wide a text may be where nobody knows how wide the page is: in a file, a pipe or a ticket.
	usualWidth = 120
	// leastWidth is as narrow as a text gets, on however narrow a terminal.
	leastWidth = 60
)

// Width is how many columns a text for w may take: those of the terminal that it is, or that its Fd names, or else 120; never less than
// 60.
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

const Indent = "  "

// Lay writes texts in lines of that width, each way out in a line of its own, which is never broken: it is to be copied.
func Lay(texts []string, margin string, width int) string {
	var out strings.Builder
	for i, text := range texts {
		first := margin
		if i > 0 && margin == "" {
			first = Indent
		}
		ways := append(Way.FindAllStringIndex(text, -1), []int{len(text)})
		for _, line := range Wrap(text[:ways[0][0]], first, margin+Indent, width) {
			out.WriteString(line + "\n")
		}
		for j, at := range ways[:len(ways)-1] {
			out.WriteString(margin + Indent + text[at[0]+1:ways[j+1][0]] + "\n")
		}
	}
	return out.String()
}

// Wrap breaks a text between words into lines of at most width columns, the first after one margin, the others after another. A word that
// is wider than a line, as a long name or a URL, stays whole.
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

// Way is where the way out begins: "Try: …" or "Try, as the tables' owner: …".
var Way = regexp.MustCompile(` Try(,[^:]*)?: `)
