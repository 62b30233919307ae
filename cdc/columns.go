package cdc

import (
	"fmt"
	"strings"
)

// Column is one column of a table as the catalog describes it: enough to say how it has changed. JSON field names
// are a format.
type Column struct {
	// Number is pg_attribute.attnum: it stays while the column lives, and no other column of the table ever gets it.
	Number int16  `json:"n"`
	Name   string `json:"name"`
	// Type is format_type's, e.g. "numeric(12,2)".
	Type string `json:"type"`
}

// ShapeChange says in words how a table's shape differs from the stored one, with the columns' names as far as both
// lists of columns say; "" if SameShape. A list may be nil: older builds stored none.
func ShapeChange(stored, now string, before, after []Column) string {
	if SameShape(stored, now) {
		return ""
	}
	columns, _, _ := strings.Cut(stored, ";")
	columnsNow, _, _ := strings.Cut(now, ";")
	if columns == columnsNow {
		return "a label of an enum, or an attribute of a composite type, that the table's columns are made of was renamed, dropped or added"
	}
	what := "the table's columns have changed"
	if changes := columnChanges(before, after); len(before) > 0 && len(changes) > 0 {
		what += " (" + Few(changes) + ")"
	}
	return what
}

// columnChanges matches the columns by their numbers, so that one that was dropped and made again is seen.
func columnChanges(before, after []Column) (changes []string) {
	now, was := map[int16]Column{}, map[int16]bool{}
	for _, c := range after {
		now[c.Number] = c
	}
	for _, c := range before {
		was[c.Number] = true
		is, there := now[c.Number]
		switch {
		case !there:
			changes = append(changes, "dropped "+c.Name)
			continue
		case is.Name != c.Name:
			changes = append(changes, "renamed "+c.Name+" to "+is.Name)
		}
		if is.Type != c.Type {
			changes = append(changes, fmt.Sprintf("%s is now %s, was %s", is.Name, is.Type, c.Type))
		}
	}
	for _, c := range after {
		if !was[c.Number] {
			changes = append(changes, "added "+c.Name+" "+c.Type)
		}
	}
	return changes
}

// Few lists at most five of the changes.
func Few(changes []string) string {
	const most = 5
	if len(changes) > most {
		return strings.Join(changes[:most], ", ") + fmt.Sprintf(" and %d more", len(changes)-most)
	}
	return strings.Join(changes, ", ")
}

// SameShape reports whether rows written under the stored shape still mean the same: equal columns, and no enum label
// renamed.
func SameShape(stored, now string) bool {
	columns, labels, _ := strings.Cut(stored, ";")
	columnsNow, labelsNow, _ := strings.Cut(now, ";")
	have := map[string]bool{}
	for label := range strings.SplitSeq(labelsNow, ",") {
		have[label] = true
	}
	for label := range strings.SplitSeq(labels, ",") {
		if label != "" && !have[label] {
			return false
		}
	}
	return columns == columnsNow
}
