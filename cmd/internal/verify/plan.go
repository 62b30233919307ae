package verify

import (
	"fmt"

	"dirtbike/schemas"
)

// plan is a table, compiled for the comparison. It is used by one goroutine at a time.
type plan struct {
	rel     *schemas.Relation
	table   *schemas.Table
	columns []column
	all     []int // the indexes of the columns
	// ordered says that the key consists of integers, which both servers order alike: then chunks are ranges on both
	// sides.
	ordered bool
	// hashed says that a policy changes the key: a key of ClickHouse cannot be looked up in Postgres.
	hashed bool
	// capped says that some column is shown as a year that moves with the calendar.
	capped bool
}

// column is a carried column.
type column struct {
	*schemas.TableColumn
	canonical       canonical
	applied, result []byte // scratch
}

func newPlan(rel *schemas.Relation, prefix string, policies schemas.Policies) (*plan, error) {
	table, err := schemas.NewTable(rel, schemas.TopicName(prefix, rel.Schema, rel.Name), policies)
	if err != nil {
		return nil, err
	}
	p := &plan{rel: rel, table: table, ordered: true}
	for i := range table.Columns {
		c := &table.Columns[i]
		p.columns, p.all = append(p.columns, column{TableColumn: c, canonical: canonicalOf(&c.Type)}), append(p.all, i)
		p.capped = p.capped || c.Type.Kind == schemas.KindYear
	}
	for _, k := range table.Key {
		kind := table.Columns[k].Type.Kind
		p.hashed = p.hashed || table.Columns[k].Transform != nil
		p.ordered = p.ordered && (kind == schemas.KindInt2 || kind == schemas.KindInt4 || kind == schemas.KindInt8)
	}
	return p, nil
}

// append appends the canonical text of some columns, those of the key or all; values has one for each column.
func (p *plan) append(dst []byte, columns []int, values [][]byte, at int64) (_ []byte, err error) {
	for _, i := range columns {
		if dst, err = p.columns[i].append(dst, values[i], at); err != nil {
			return dst, fmt.Errorf("column %s: %w", p.columns[i].Name, err)
		}
	}
	return dst, nil
}

// append appends a column's field: 'N' for NULL, else the value; '!' and the exact text follow if the value is inexact.
// at is ClickHouse's time, by which the view caps years (rule 29), in microseconds.
func (c *column) append(dst, text []byte, at int64) (_ []byte, err error) {
	if text == nil {
		if c.Type.Kind == schemas.KindArray {
			return appendField(append(appendField(dst, []byte("0;")), '!'), []byte("NULL")), nil
		}
		return append(dst, 'N'), nil
	}
	if c.Transform != nil {
		if c.applied, err = c.Transform.Apply(c.applied[:0], text, at); err != nil {
			return dst, err
		}
		text = c.applied
	}
	var how form
	if c.result, how, err = c.canonical(c.result[:0], text); err != nil {
		return dst, err
	}
	if how == nulled {
		dst = append(dst, 'N')
	} else {
		dst = appendField(dst, c.result)
	}
	if how != held {
		dst = appendField(append(dst, '!'), text)
	}
	return dst, nil
}
