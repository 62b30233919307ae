package schemas

import "time"

// YearsShown is how many years back the policy year goes: earlier years are shown as the last of them, so that nobody
// over 89 can be told by a year of birth (rule 29). Views use the same number.
const YearsShown = 90

// EarliestYear is the earliest year that the policy year lets out at a time, in microseconds since 1970-01-01 UTC.
func EarliestYear(at int64) int64 { return int64(time.UnixMicro(at).UTC().Year() - YearsShown) }

// Transform is a column policy, compiled for one column (cdc/privacy implements it). It works on Postgres' text of the
// value, before anything leaves the process. NULL stays NULL and never reaches it. It is not safe for concurrent use.
type Transform interface {
	// Policy is the name in the config: mask, hash, zip3, year. (keep has no Transform; drop has no column.)
	Policy() string
	// Output is the type of what Apply gives.
	Output() Type
	// Apply appends the output value, as Postgres' text of the Output type, to dst. at is the record's time in
	// microseconds since 1970-01-01 UTC: the commit's, for a row of a copy the copy's. It allocates nothing. Its error
	// names the reason and never the value.
	Apply(dst, text []byte, at int64) ([]byte, error)
	// Print identifies the policy with its parameters (a hash key by its fingerprint), for PolicyPrint.
	Print() string
}

// Policies decides for each column of a relation what happens to it (cdc/privacy implements it over the config).
type Policies interface {
	// For returns how the column is carried: keep (nil, true), withhold (nil, false), or transform (t, true).
	// An error says why a policy cannot be applied to the column's type, or to a key column (rule 29).
	For(rel *Relation, column int) (t Transform, carried bool, err error)
}
