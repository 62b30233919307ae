package privacy

import (
	"slices"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Rules is the config's section privacy; names are those of Postgres.
type Rules interface {
	// For gives the policy of a column (keep, drop, mask, hash, zip3, year) and whether the config names it. A column
	// that it does not name has keep (mode open) or drop (mode allowlist).
	For(schema, table, column string) (policy string, named bool)
	// Domain gives the hash domain of a column: equal values of one domain get equal tokens.
	Domain(schema, table, column string) string
}

// HashKeys holds the key of the policy hash. The zero value has none: then a column with that policy is refused.
type HashKeys struct {
	// ID begins every token, e.g. "k1".
	ID  string
	Key []byte // the secret; it is printed nowhere
}

// Policies implements schemas.Policies. It is safe for concurrent use as far as its Rules are; the Transforms it makes
// are not.
type Policies struct {
	rules Rules
	keys  HashKeys
}

var _ schemas.Policies = (*Policies)(nil)

// New makes policies from what the config says.
func New(rules Rules, keys HashKeys) *Policies { return &Policies{rules: rules, keys: keys} }

// For implements schemas.Policies. Each call makes a Transform of its own.
func (p *Policies) For(rel *schemas.Relation, column int) (schemas.Transform, bool, error) {
	col := &rel.Columns[column]
	policy, named := p.rules.For(rel.Schema, rel.Name, col.Name)
	if slices.Contains(rel.Key, column) {
		if err := fitsKey(rel, policy, named, col.Type); err != nil {
			return nil, false, err
		}
	}
	var t *transform
	var err error
	switch policy {
	case "keep":
		return nil, true, nil
	case "drop":
		return nil, false, nil
	case "mask":
		t, err = mask(col.Type)
	case "hash":
		t, err = hash(p.keys, p.rules.Domain(rel.Schema, rel.Name, col.Name))
	case "zip3":
		t, err = zip3(col.Type)
	case "year":
		t, err = year(col.Type)
	default:
		err = cdc.Failed("unknown policy %q", policy).Fix("%s", policiesOf(col.Type))
	}
	if err != nil {
		return nil, false, err
	}
	return t, true, nil
}

// transform implements schemas.Transform.
type transform struct {
	policy string
	output schemas.Type
	print  string
	apply  func(dst, text []byte, at int64) ([]byte, error)
}

func (t *transform) Policy() string       { return t.policy }
func (t *transform) Output() schemas.Type { return t.output }
func (t *transform) Print() string        { return t.print }
func (t *transform) Apply(dst, text []byte, at int64) ([]byte, error) {
	return t.apply(dst, text, at)
}

// fitsKey accepts only policies under which different keys stay different (rules 9 and 29).
func fitsKey(rel *schemas.Relation, policy string, named bool, t schemas.Type) error {
	switch {
	case policy == "keep":
		return nil
	case policy == "hash":
		// A token is text, which may be a key: whether equal values have equal tokens depends on the column's own type.
		if why := schemas.KeyRefusal(t); why != "" {
			return cdc.Failed("policy hash on a key column: %s", why).
				Fix("add %q to source.tables", "!"+rel.FullName()).Fix("give the column a type that can be a key")
		}
		return nil
	case policy == "drop" && !named:
		return cdc.Failed("a key column that no policy names is withheld, but rows cannot be distinguished without it").
			Fix("name it keep or hash under privacy.columns")
	}
	return cdc.Failed("policy %s on a key column: rows could not be distinguished", policy).Fix("keep or hash")
}

// policiesOf lists the policies that a column of this type can have.
func policiesOf(t schemas.Type) string {
	switch {
	case t.Kind == schemas.KindText:
		return "keep, drop, mask, hash or zip3"
	case slices.Contains([]schemas.Kind{schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ}, t.Kind):
		return "keep, drop, mask, hash or year"
	}
	return "keep, drop, mask or hash"
}

// textType is the output type of hash, zip3 and some masks.
func textType() schemas.Type {
	const textOID = 25
	return schemas.Type{Kind: schemas.KindText, Name: "text", OID: textOID, Base: textOID, Mod: -1}
}
