package console

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// NewTable makes a table with a header. right are the columns, counted from 1, that hold numbers.
func NewTable(header table.Row, right ...int) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(header)
	var columns []table.ColumnConfig
	for _, number := range right {
		columns = append(columns, table.ColumnConfig{Number: number, Align: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	return t
}

// AtMost bounds a column's width: its cells go on in the next line.
func AtMost(number, width int) table.ColumnConfig {
	return table.ColumnConfig{Number: number, WidthMax: width, WidthMaxEnforcer: WrapCell}
}

// WrapCell breaks a text between words, and within one only if it is wider than width, which has room for a character
// of two columns.
func WrapCell(s string, width int) string {
	wrapped := text.WrapSoft(s, width)
	if text.LongestLineLen(wrapped) > width { // a character of two columns was at the end of a line
		wrapped = text.WrapSoft(s, width-1)
	}
	return wrapped
}

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
func Wrap(s, first, next string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = first + word
		case text.StringWidthWithoutEscSequences(line+" "+word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), next+word
		}
	}
	return append(lines, line)
}
