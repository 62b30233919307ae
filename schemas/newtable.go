package schemas

import (
	"fmt"
	"slices"
	"strconv"

	"dirtbike/cdc"
)

// NewTable applies policies to a relation. It fails if a policy cannot be applied, if no column is left, or if the key
// is not carried. Comments are carried in the order of the columns, the table's own first, up to 64 KiB in all.
func NewTable(rel *Relation, topic string, p Policies) (*Table, error) {
	t := &Table{Topic: topic, Database: rel.Database, Schema: rel.Schema, Name: rel.Name, Compacted: rel.Compactable()}
	for i := range rel.Columns {
		col := &rel.Columns[i]
		transform, carried, err := p.For(rel, i)
		if err != nil {
			return nil, fmt.Errorf("table %s, column %s: %w", rel.FullName(), col.Name, err)
		}
		if carried {
			t.Columns = append(t.Columns, carry(col, i, transform, slices.Contains(rel.Key, i)))
		}
	}
	if len(rel.Key) == 0 {
		return nil, cdc.Failed("table %s has no key", rel.FullName()).Fix("add %s to source.tables", exclusion(rel)).Fix("give the table a primary key")
	}
	for _, k := range rel.Key {
		at := slices.IndexFunc(t.Columns, func(c TableColumn) bool { return c.Source == k })
		column := "table " + rel.FullName() + ", key column " + rel.Columns[k].Name
		if at < 0 {
			return nil, cdc.Failed("%s is withheld by the privacy policy", column).Fix("name it keep or hash under privacy.columns")
		}
		if why := KeyRefusal(t.Columns[at].Type); why != "" {
			return nil, cdc.Failed("%s: %s", column, why).
				Fix("add %s to source.tables", exclusion(rel)).Fix("give the column a type that can be a key")
		}
		t.Key = append(t.Key, at)
	}
	t.carryComments(rel)
	return t, nil
}

func (t *Table) carryComments(rel *Relation) {
	left := commentsBytes
	take := func(text string) string {
		if left -= len(text); left < 0 {
			return ""
		}
		return text
	}
	t.Comment = take(rel.Comment)
	for i := range t.Columns {
		c := &t.Columns[i]
		c.Comment = take(rel.Columns[c.Source].Comment)
	}
}

// exclusion is the entry that, added to source.tables, leaves the table out.
func exclusion(rel *Relation) string { return strconv.Quote("!" + rel.FullName()) }

func carry(col *Column, source int, transform Transform, key bool) TableColumn {
	c := TableColumn{
		Name: col.Name, Field: EscapeName(col.Name), Attnum: col.Attnum, Type: col.Type, Declared: col.Type.Name,
		Policy: "keep", NotNull: col.NotNull, Key: key, Toastable: col.Toastable, Source: source, Transform: transform,
	}
	if transform != nil {
		c.Policy, c.Type = transform.Policy(), transform.Output()
	}
	return c
}
