package cdc

import "slices"

// Members names the catalog rows by which a publication publishes one table, each so that it never comes back once it is gone. A
// table was published without interruption from one look to a later one if some member of the first is still there at the second.
type Members []string

// Share reports whether some member of m is among those of now: the table has not left the publication in between.
func (m Members) Share(now Members) bool {
	return slices.ContainsFunc(m, func(member string) bool { return slices.Contains(now, member) })
}
