package schemas

// Transform is a column policy, compiled for one column (cdc/privacy implements it). It works on Postgres' text of the
// value, before anything leaves the process. NULL stays NULL and never reaches it. It is not safe for concurrent use.
type Transform interface {
	// Policy is the name in the config: mask, hash, zip3, year. (keep has no Transform; drop has no column.)
	Policy() string
	// Output is the type of what Apply gives.
	Output() Type
	// Apply appends the output value, as Postgres' text of the Output type, to dst. It allocates nothing. Its error
	// names the reason and never the value.
	Apply(dst, text []byte) ([]byte, error)
	// Print identifies the policy with its parameters (a hash key by its fingerprint), for PolicyPrint.
	Print() string
}

// Policies decides for each column of a relation what happens to it (cdc/privacy implements it over the config).
type Policies interface {
	// For returns how the column is carried: keep (nil, true), withhold (nil, false), or transform (t, true).
	// An error says why a policy cannot be applied to the column's type, or to a key column (rule 29).
	For(rel *Relation, column int) (t Transform, carried bool, err error)
}
