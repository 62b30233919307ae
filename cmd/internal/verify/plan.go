package verify

import (
	"fmt"
	"strconv"

	"dirtbike/schemas"
)

// plan is a table, compiled for the comparison. It is used by one goroutine at a time.
type plan struct {
	rel     *schemas.Relation
	table   *schemas.Table
	columns []column
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
		p.columns = append(p.columns, column{TableColumn: c, canonical: canonicalOf(&c.Type)})
		p.capped = p.capped || c.Type.Kind == schemas.KindYear
	}
	for _, k := range table.Key {
		c := &table.Columns[k]
		p.hashed = p.hashed || c.Transform != nil
		p.ordered = p.ordered && isInteger(c.Type.Kind)
	}
	return p, nil
}

func isInteger(k schemas.Kind) bool {
	return k == schemas.KindInt2 || k == schemas.KindInt4 || k == schemas.KindInt8
}

// keyColumns are the columns of the key, in key order.
func (p *plan) keyColumns() []*schemas.TableColumn {
	out := make([]*schemas.TableColumn, len(p.table.Key))
	for i, k := range p.table.Key {
		out[i] = &p.table.Columns[k]
	}
	return out
}

// allColumns are the carried columns.
func (p *plan) allColumns() []*schemas.TableColumn {
	out := make([]*schemas.TableColumn, len(p.table.Columns))
	for i := range p.table.Columns {
		out[i] = &p.table.Columns[i]
	}
	return out
}

// appendRaw appends Postgres' own text of the key.
func (p *plan) appendRaw(dst []byte, values [][]byte) []byte {
	for _, k := range p.table.Key {
		dst = appendField(dst, values[k])
	}
	return dst
}

// appendKey appends the canonical text of the key; values are in the order of the columns.
func (p *plan) appendKey(dst []byte, values [][]byte, earliest int64) ([]byte, error) {
	var err error
	for _, k := range p.table.Key {
		if dst, err = p.columns[k].append(dst, values[k], earliest); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// appendRow appends the canonical text of the row.
func (p *plan) appendRow(dst []byte, values [][]byte, earliest int64) ([]byte, error) {
	var err error
	for i := range p.columns {
		if dst, err = p.columns[i].append(dst, values[i], earliest); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

var nullText = []byte("NULL")

// append appends a column's field: 'N' for NULL, else the value; '!' and the exact text follow if the value is inexact.
// earliest is the earliest year the view shows.
func (c *column) append(dst, text []byte, earliest int64) (_ []byte, err error) {
	if text == nil {
		if c.Type.Kind == schemas.KindArray {
			return appendField(append(appendField(dst, []byte("0;")), '!'), nullText), nil
		}
		return append(dst, 'N'), nil
	}
	if c.Transform != nil {
		if c.applied, err = c.Transform.Apply(c.applied[:0], text); err != nil {
			return dst, fmt.Errorf("column %s: %w", c.Name, err)
		}
		text = c.applied
	}
	var how form
	if c.result, how, err = c.canonical(c.result[:0], text); err != nil {
		return dst, fmt.Errorf("column %s: %w", c.Name, err)
	}
	if c.Type.Kind == schemas.KindYear && how == held {
		c.capYear(earliest)
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

// capYear replaces a year before the earliest one shown, as the view does (rule 29).
func (c *column) capYear(earliest int64) {
	if year, err := strconv.ParseInt(string(c.result), 10, 64); err == nil && year < earliest {
		c.result = strconv.AppendInt(c.result[:0], earliest, 10)
	}
}
