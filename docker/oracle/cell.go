package oracle

import (
	"slices"
	"strconv"
	"strings"
)

// cell is one canonical value of either side.
type cell struct {
	null    bool
	text    string // canonical; empty if null
	inexact bool   // the type could not hold the value, and `_inexact` has exact
	exact   string
}

// nullCell is SQL's NULL, which is not the empty text.
var nullCell = cell{null: true}

// String shows a cell to people.
func (c cell) String() string {
	s := "NULL"
	if !c.null {
		s = strconv.Quote(c.text)
	}
	if c.inexact {
		s += " _inexact " + strconv.Quote(c.exact)
	}
	return s
}

// key is the cell's part of a row's key. Values that saturate to one bound differ by their exact text.
func (c cell) key() string {
	if c.inexact {
		return c.exact
	}
	return c.text
}

// expect says what the view must show for Postgres' text of type t in a column of type c.
func (t pgType) expect(c chType, text []byte) (cell, error) {
	s := string(text)
	switch {
	case text == nil && c.elem != nil:
		return cell{text: "{}", inexact: true, exact: "NULL"}, nil
	case text == nil:
		return nullCell, nil
	case t.elem != nil && c.elem != nil:
		return t.expectArray(c, s)
	case t.cell == nil, c.name == "String" && t.want != "String":
		return cell{text: s}, nil
	}
	return t.cell(s)
}

// expectArray canonicalises element by element. What Array(Nullable(T)) cannot hold (more dimensions, a lower bound
// other than 1) is shown as [], and so is an array with an element that Avro cannot hold (infinity, NaN in a
// numeric(p,s)); these, and an array with an element outside ClickHouse's bounds, have the whole array's text as their
// exact one.
func (t pgType) expectArray(c chType, s string) (cell, error) {
	texts, plain, err := parseArray(s, t.delim)
	if err != nil {
		return cell{}, err
	}
	out := cell{inexact: !plain}
	elems := make([]cell, len(texts))
	for i, e := range texts {
		if elems[i], err = t.elem.expect(*c.elem, e); err != nil {
			return cell{}, err
		}
		out.inexact = out.inexact || elems[i].inexact
	}
	out.text = arrayText(elems)
	if slices.ContainsFunc(elems, func(e cell) bool { return e.inexact && (e.null || strings.HasSuffix(e.exact, "infinity")) }) {
		out.text = "{}"
	}
	if out.inexact {
		out.exact = s
	}
	return out, nil
}

// arrayText joins canonical elements unambiguously.
func arrayText(elems []cell) string {
	parts := make([]string, len(elems))
	for i, e := range elems {
		parts[i] = cell{null: e.null, text: e.text}.String()
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// shown canonicalises what ClickHouse shows: a scalar's text, or an array's elements.
func (c chType) shown(scalar *string, array []*string) (cell, error) {
	if c.elem != nil {
		elems := make([]cell, len(array))
		for i, e := range array {
			var err error
			if elems[i], err = c.elem.shown(e, nil); err != nil {
				return cell{}, err
			}
		}
		return cell{text: arrayText(elems)}, nil
	}
	switch {
	case scalar == nil:
		return nullCell, nil
	case c.name == "Float32":
		return plainCell(float32Text)(*scalar)
	case c.name == "Float64":
		return plainCell(float64Text)(*scalar)
	case strings.HasPrefix(c.name, "Decimal("):
		return cell{text: decimalText(*scalar)}, nil
	}
	return cell{text: *scalar}, nil
}
