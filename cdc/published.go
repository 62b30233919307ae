package cdc

import (
	"slices"
	"strings"
)

// PublishedBy names the catalog rows by which a publication publishes one table, each so that it never comes back once
// it is gone. A table was published without interruption between two readings of the catalog if some member of the
// first is still there in the second.
//
// A member ends with "<xmin>", the last update of the publication's own row, or "<xmin> owner <oid> <last>": last is 1
// if that update was the owner's change, which is nothing to those who read the publication.
type PublishedBy []string

// SharesWith reports whether p and now have a member in common: the table has not left the publication in between.
func (p PublishedBy) SharesWith(now PublishedBy) bool {
	return slices.ContainsFunc(p, func(was string) bool {
		return slices.ContainsFunc(now, func(is string) bool { return sameMember(was, is) })
	})
}

// sameMember reports whether two readings are of one member: nothing was updated, or the owner alone. Not seen is an
// option that was changed and changed back before the owner, between the same two readings.
func sameMember(was, is string) bool {
	rowWas, ownerWas, known := strings.Cut(was, " owner ")
	rowIs, ownerIs, _ := strings.Cut(is, " owner ")
	if rowWas == rowIs {
		return true
	}
	before, _, _ := strings.Cut(ownerWas, " ")
	after, last, _ := strings.Cut(ownerIs, " ")
	return known && last == "1" && before != after && withoutLast(rowWas) == withoutLast(rowIs)
}

// withoutLast cuts off the last word.
func withoutLast(s string) string { return s[:max(strings.LastIndexByte(s, ' '), 0)] }
