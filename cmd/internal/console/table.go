package console

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
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
