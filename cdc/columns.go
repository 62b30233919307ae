package cdc

import (
	"fmt"
	"slices"
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
	// Policy is the column's policy with its parameters, "drop" if it is withheld; empty if it leaves as it is, or is
	// not known (of a table that is refused).
	Policy string `json:"policy,omitempty"`
}

// ShapeChange says in words how a table's shape differs from the stored one, with the columns' names as far as both
// lists of columns say; "" if SameShape. A list may be nil: older builds stored none. unlisted are columns that the
// publication's column list kept in Postgres before, or keeps there now: they came or went by the list alone.
func ShapeChange(stored, now string, before, after []Column, unlisted ...Column) string {
	if SameShape(stored, now) {
		return ""
	}
	columns, _, _ := strings.Cut(stored, ";")
	columnsNow, _, _ := strings.Cut(now, ";")
	if columns == columnsNow {
		return "a label of an enum, or an attribute of a composite type, that the table's columns are made of was renamed, dropped or added"
	}
	const what = "the table's columns have changed"
	changes := columnChanges(before, after, unlisted)
	switch {
	case len(before) == 0 || len(changes) == 0:
		return what
	case !slices.ContainsFunc(changes, func(c string) bool { return !byList(c) }):
		return "the publication's column list has changed (" + Few(changes) + ")"
	}
	return what + " (" + Few(changes) + ")"
}

// What a column list does to a column.
const leavesOut, sendsNow = "it leaves out ", "it now sends "

func byList(change string) bool {
	return strings.HasPrefix(change, leavesOut) || strings.HasPrefix(change, sendsNow)
}

// columnChanges matches the columns by their numbers, so that one that was dropped and made again is seen.
func columnChanges(before, after, unlisted []Column) (changes []string) {
	now, was, kept := map[int16]Column{}, map[int16]bool{}, map[int16]bool{}
	for _, c := range unlisted {
		kept[c.Number] = true
	}
	for _, c := range after {
		now[c.Number] = c
	}
	for _, c := range before {
		was[c.Number] = true
		is, there := now[c.Number]
		switch {
		case !there && kept[c.Number]:
			changes = append(changes, leavesOut+c.Name)
			continue
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
		switch {
		case was[c.Number]:
		case kept[c.Number]:
			changes = append(changes, sendsNow+c.Name)
		default:
			changes = append(changes, "added "+c.Name+" "+c.Type)
		}
	}
	return changes
}

// OfTables is "2 of 3 tables".
func OfTables(n, all int) string {
	if all == 1 {
		return fmt.Sprintf("%d of 1 table", n)
	}
	return fmt.Sprintf("%d of %d tables", n, all)
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
