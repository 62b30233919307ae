package oracle

import (
	"fmt"
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

// The bounds of rule 31. DateTime64(6) itself reaches from year 0 to 9999 in ClickHouse 26.7, but its documented
// range, and Date32's, is this one.
const (
	minDate      = "1900-01-01"
	maxDate      = "2299-12-31"
	minTimestamp = "1900-01-01 00:00:00.000000"
	maxTimestamp = "2299-12-31 23:59:59.999999"
)

// expect says what the view must show for Postgres' text of type t in a column of type c.
func (t pgType) expect(c chType, text []byte) (cell, error) {
	if text == nil {
		if c.elem != nil {
			return cell{text: "{}", inexact: true, exact: "NULL"}, nil
		}
		return nullCell, nil
	}
	s := string(text)
	switch {
	case t.kind == kindArray && c.elem != nil:
		return t.expectArray(c, s)
	case t.kind == kindBytea:
		return expectBytea(s)
	case c.name == "String":
		return cell{text: s}, nil
	}
	return t.expectTyped(s)
}

// expectTyped is expect for the columns that are not String, Array or bytea.
func (t pgType) expectTyped(s string) (cell, error) {
	switch t.kind {
	case kindBool:
		return cell{text: map[string]string{"t": "true", "f": "false"}[s]}, nil
	case kindFloat4:
		return floatCell(s, 32)
	case kindFloat8:
		return floatCell(s, 64)
	case kindNumeric:
		if s == "NaN" || strings.HasSuffix(s, "Infinity") {
			return cell{null: true, inexact: true, exact: s}, nil
		}
		return cell{text: s}, nil
	case kindDate:
		return saturated(s, s, minDate, maxDate), nil
	case kindTimestamp, kindTimestampTZ:
		return saturated(s, micros(s), minTimestamp, maxTimestamp), nil
	case kindInt2, kindInt4, kindInt8, kindUUID, kindOther:
		return cell{text: s}, nil
	case kindBytea, kindArray: // left over: an array in a column that is no Array and no String
		return cell{text: s}, nil
	}
	return cell{}, fmt.Errorf("oracle: kind %q has no canonical text", t.kind)
}

// expectArray canonicalises element by element. What Array(Nullable(T)) cannot hold (more dimensions, a lower bound
// other than 1) is shown as [], and so is an array with an element that Avro cannot hold (infinity, NaN in a
// numeric(p,s)); these, and an array with an element outside ClickHouse's bounds, have the whole array's text as their
// exact one.
func (t pgType) expectArray(c chType, s string) (cell, error) {
	a, err := parseArray(s, t.delim)
	if err != nil {
		return cell{}, err
	}
	out := cell{inexact: !a.plain, exact: s}
	elems := make([]cell, len(a.elems))
	for i, e := range a.elems {
		if elems[i], err = t.elem.expect(*c.elem, e); err != nil {
			return cell{}, err
		}
		out.inexact = out.inexact || elems[i].inexact
	}
	out.text = arrayText(elems)
	if slices.ContainsFunc(elems, func(e cell) bool { return e.inexact && (e.null || strings.HasSuffix(e.exact, "infinity")) }) {
		out.text = "{}"
	}
	if !out.inexact {
		out.exact = ""
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

// floatCell parses and prints, so that "1e+20" and "100000000000000000000" are one number and 0 and -0 are two.
func floatCell(s string, bits int) (cell, error) {
	if strings.HasSuffix(s, "nan") { // ClickHouse may print a NaN's sign
		s = "nan"
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return cell{}, fmt.Errorf("parse float: %w", err)
	}
	return cell{text: strconv.FormatFloat(f, 'g', -1, bits)}, nil
}

// saturated puts a date or timestamp (canonical, of fixed width within four-digit years) inside its type's bounds.
func saturated(exact, canonical, low, high string) cell {
	year, _, _ := strings.Cut(canonical, "-")
	switch {
	case exact == "-infinity", strings.HasSuffix(exact, " BC"):
		return cell{text: low, inexact: true, exact: exact}
	case exact == "infinity", len(year) > 4, canonical > high:
		return cell{text: high, inexact: true, exact: exact}
	case canonical < low:
		return cell{text: low, inexact: true, exact: exact}
	}
	return cell{text: canonical}
}

// micros gives Postgres' ISO timestamp in UTC six digits of fraction and no zone.
func micros(s string) string {
	s = strings.TrimSuffix(s, "+00")
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + "." + (fraction + "000000")[:6]
}
