package inventory

import (
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"dirtbike/cmd/internal/console"
)

// WriteText writes a table for people: a line for each column.
func (i Inventory) WriteText(w io.Writer) error {
	const widest = 44
	t := console.NewTable(table.Row{"TABLE", "COLUMN", "TYPE", "POLICY", "NAMED BY"})
	t.SetColumnConfigs([]table.ColumnConfig{console.AtMost(1, widest), console.AtMost(2, widest), console.AtMost(5, widest)})
	notes := ""
	for _, one := range i.Tables {
		for at, c := range one.Columns {
			name := ""
			if at == 0 {
				name = console.Printable(one.Table)
			}
			t.AppendRow(table.Row{name, console.Printable(c.Column), console.Printable(c.Type), one.effect(c), c.decidedBy()})
		}
		if one.Reason != "" {
			notes += "nothing of " + console.Printable(one.Table) + " leaves: " + console.Printable(one.Reason) + "\n"
		}
	}
	text := i.Summary() + "\n"
	if len(i.Tables) > 0 {
		text = t.Render() + "\n" + notes + text
	}
	if p := i.Warning(); p != nil {
		text += console.Printable(p.Error()) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// effect is what the policy of one of the columns comes to.
func (t Table) effect(c Column) string {
	switch {
	case c.Open:
		return c.Policy + ", open"
	case c.Leaves:
		return c.Policy
	case !c.Sent:
		return Withheld + " in Postgres"
	case t.travels(c):
		return Withheld + " in capture"
	case c.Policy == "drop":
		return Withheld
	}
	return Withheld + " (" + c.Policy + ")"
}
