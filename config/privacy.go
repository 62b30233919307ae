package config

import (
	"maps"
	"slices"
)

// AnyColumn means, under privacy.columns, every column of the table that is not named itself.
const AnyColumn = "*"

// Privacy says what may leave Postgres. It is applied before anything is published or spilled to disk.
type Privacy struct {
	// What happens to a column that is not named: withheld (allowlist) or kept (open).
	Mode Mode `yaml:"mode" default:"allowlist"`
	// Per schema.table, the policy of each column; "*" stands for the columns that are not named.
	Columns map[string]map[string]Policy `yaml:"columns" example:"{public.patients: {ssn: drop}}"`
	// Keys and domains of the policy hash.
	Hash Hash `yaml:"hash"`

	at *positions
}

// Mode is what happens to a column that is not named.
type Mode string

// The two modes.
const (
	// ModeAllowlist withholds a column that is not named.
	ModeAllowlist Mode = "allowlist"
	// ModeOpen keeps a column that is not named.
	ModeOpen Mode = "open"
)

// Values lists every Mode.
func (Mode) Values() []string { return enumeration(ModeAllowlist, ModeOpen) }

// Policy is what is done to a column's values before they leave the process. NULL stays NULL under every policy.
type Policy string

// The policies (rule 29).
const (
	// Keep publishes the value as it is.
	Keep Policy = "keep"
	// Drop leaves the column out of the schema.
	Drop Policy = "drop"
	// Mask publishes a constant of the column's type.
	Mask Policy = "mask"
	// HashValue publishes a keyed hash (HMAC-SHA-256), equal for equal values of one domain.
	HashValue Policy = "hash"
	// Zip3 publishes the first three digits of a postal code.
	Zip3 Policy = "zip3"
	// Year publishes the year of a date.
	Year Policy = "year"
)

// Values lists every Policy.
func (Policy) Values() []string { return enumeration(Keep, Drop, Mask, HashValue, Zip3, Year) }

// unique reports whether two different values stay different under the policy, so that a key column may have it.
func (p Policy) unique() bool { return p == Keep || p == HashValue }

// Hash holds the keys of the policy hash.
type Hash struct {
	// Secret keys by id (k1, k2, …): hex or base64 of at least 16 bytes, or a text of at least 16; one that can be
	// guessed is refused. Without any, a key is made at the first start, in a file in the config's folder.
	Keys map[string]Secret `yaml:"keys" example:"{k1: \"${env:HASH_KEY}\"}"`
	// Id of the key in use. Needed only where keys has more than one.
	Active string `yaml:"active"`
	// Columns (schema.table.column) whose equal values must get equal hashes, by domain. A column in none has the
	// domain of its own name.
	Domains map[string][]string `yaml:"domains" example:"{mrn: [public.patients.mrn]}"`
}

// Reason is what decides about a column.
type Reason string

// The reasons.
const (
	// ByName: privacy.columns names the column.
	ByName Reason = "column"
	// ByWildcard: "*" of its table under privacy.columns.
	ByWildcard Reason = "wildcard"
	// ByMode: nothing under privacy.columns, so that privacy.mode decides.
	ByMode Reason = "mode"
	// ByNothing: there is no privacy section, which is mode open.
	ByNothing Reason = "none"
)

// Decision is what the section says about one column, and where.
type Decision struct {
	Policy Policy
	By     Reason
	// Key is the setting that decides, "privacy.mode" also where the file leaves it out; empty without a section.
	Key string
	// Line is where the setting is in the file, or the section around it; 0 without a section.
	Line int
}

// Open says that the column leaves Postgres as it is though nobody named it.
func (d Decision) Open() bool { return d.Policy == Keep && d.By != ByName }

// Decide is For with its reason. It is what every report about columns asks. A nil Privacy is mode open.
func (p *Privacy) Decide(schema, table, column string) Decision {
	if p == nil {
		return Decision{Policy: Keep, By: ByNothing}
	}
	full := schema + "." + table
	policy, named := p.For(schema, table, column)
	path, by := keyPath{"privacy", "mode"}, ByMode
	if named {
		path, by = keyPath{"privacy", "columns", full, AnyColumn}, ByWildcard
		if _, itself := p.Columns[full][column]; itself && column != AnyColumn {
			path[len(path)-1], by = column, ByName
		}
	}
	return Decision{Policy: policy, By: by, Key: path.String(), Line: p.at.find(path).line}
}

// For returns the policy of a column and whether the file names it, itself or by "*". A column that is not named is
// withheld (Drop) in mode allowlist and kept in mode open. A nil Privacy is mode open.
func (p *Privacy) For(schema, table, column string) (policy Policy, named bool) {
	if p == nil {
		return Keep, false
	}
	columns := p.Columns[schema+"."+table]
	if policy, named = columns[column]; named {
		return policy, true
	}
	if policy, named = columns[AnyColumn]; named {
		return policy, true
	}
	if p.Mode == ModeOpen {
		return Keep, false
	}
	return Drop, false
}

// Names reports whether the section has policies for the table by its name, if only by "*". A nil Privacy has none.
func (p *Privacy) Names(schema, table string) bool {
	return p != nil && len(p.Columns[schema+"."+table]) > 0
}

// MayOpen reports whether a column that nobody names may leave as it is, as far as the file alone shows: there is no
// section, its mode is open, or "*" of a table keeps.
func (p *Privacy) MayOpen() bool {
	if p == nil || p.Mode == ModeOpen {
		return true
	}
	for _, columns := range p.Columns {
		if columns[AnyColumn] == Keep {
			return true
		}
	}
	return false
}

// Domain returns the hash domain of a column: the one that lists it, else the column's own name.
func (p *Privacy) Domain(schema, table, column string) string {
	if p == nil {
		return column
	}
	full := schema + "." + table + "." + column
	for domain, columns := range p.Hash.Domains {
		if slices.Contains(columns, full) {
			return domain
		}
	}
	return column
}

// Hashes reports whether any column has the policy hash, so that a key is needed.
func (p *Privacy) Hashes() bool {
	if p == nil {
		return false
	}
	for _, columns := range p.Columns {
		if slices.Contains(slices.Collect(maps.Values(columns)), HashValue) {
			return true
		}
	}
	return false
}
