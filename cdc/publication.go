package cdc

import "slices"

// PublishedBy names the catalog rows by which a publication publishes one table, each so that it never comes back once
// it is gone. A table was published without interruption between two readings of the catalog if some member of the
// first is still there in the second.
type PublishedBy []string

// SharesWith reports whether p and now have a member in common: the table has not left the publication in between.
func (p PublishedBy) SharesWith(now PublishedBy) bool {
	return slices.ContainsFunc(p, func(member string) bool { return slices.Contains(now, member) })
}
