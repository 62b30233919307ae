package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Match implements cdc.Tables.
func (t *Tables) Match(table *cdc.Table, w *cdc.WireRelation) error {
	k, err := t.find(table.OID)
	if err != nil {
		return err
	}
	why := difference(k.rel, w)
	if why == "" {
		return nil
	}
	if name := w.Schema + "." + w.Name; name != table.FullName() {
		return t.renamed(cdc.Failed("the table changed while captured: %s", why), w.Schema, w.Name)
	}
	again := cdc.ResnapshotCommand(table.FullName())
	if still := keyRefusal(k.rel, w); still != "" {
		return cdc.Failed("the table changed while captured: %s, and %s", why, still).
			Fix("add %s to source.tables", strconv.Quote("!"+table.FullName())).
			Fix("give the column a type that can be a key; then %s", again)
	}
	changed := cdc.Failed("the table changed while captured: %s", why)
	return t.nameAgain(changed, k.rel, sentRenames(k.rel, w)).ThenCopy(table.FullName())
}

// sentRenames are the columns that have another name in the Relation message, in the place of the former.
func sentRenames(rel *schemas.Relation, w *cdc.WireRelation) (out []rename) {
	if len(w.Columns) != len(rel.Columns) {
		return nil
	}
	for i, c := range w.Columns {
		was := &rel.Columns[i]
		gone := !slices.ContainsFunc(w.Columns, func(c cdc.WireColumn) bool { return c.Name == was.Name })
		other := !slices.ContainsFunc(rel.Columns, func(was schemas.Column) bool { return was.Name == c.Name })
		if gone && other && sameType(&was.Type, &w.Columns[i]) {
			out = append(out, rename{was.Name, c.Name})
		}
	}
	return out
}

// renamed adds the ways out of a table that has another name now. Under that it is another table to the pipeline: a
// start copies it if the config names it.
func (t *Tables) renamed(p *cdc.Problem, schema, name string) *cdc.Problem {
	full := schema + "." + name
	if t.options.Selection.Match(schema, name) {
		return p.Fix("restart capture to copy it")
	}
	return p.Fix("add %s to source.tables; then restart capture", strconv.Quote(full))
}

// keyRefusal says which column of the key now has a type that no key can have; "" if none has, or if the Relation
// message does not show it: of types that are not built in it has only the OID.
func keyRefusal(rel *schemas.Relation, w *cdc.WireRelation) string {
	types := pgtype.NewMap()
	for _, key := range keyNames(rel) {
		at := slices.IndexFunc(w.Columns, func(c cdc.WireColumn) bool { return c.Name == key })
		if at < 0 {
			continue
		}
		c := &w.Columns[at]
		known, found := types.TypeForOID(c.TypeOID)
		if !found {
			continue
		}
		if _, own := builtinKinds[known.Name]; !own {
			continue
		}
		own := typeName{oid: c.TypeOID, name: known.Name, declared: known.Name, class: "b", builtin: true}
		if why := schemas.KeyRefusal(resolveType(c.TypeOID, c.TypeMod, known.Name, own, typeName{})); why != "" {
			return "key column " + key + " is of " + why
		}
	}
	return ""
}

// difference says how a Relation message differs from the relation the encoder was compiled from; "" if it does not.
// Another replica identity is no difference as long as the key's columns are the same: each record says what came with
// it.
func difference(rel *schemas.Relation, w *cdc.WireRelation) string {
	switch {
	case w.Schema != rel.Schema || w.Name != rel.Name:
		return fmt.Sprintf("it is now called %s.%s", w.Schema, w.Name)
	case w.Identity == cdc.IdentityNothing:
		return "its replica identity is NOTHING"
	}
	if changes := columnDifferences(rel, w); len(changes) > 0 {
		return "its columns have changed (" + cdc.Few(changes) + ")"
	}
	if len(w.Columns) != len(rel.Columns) {
		return fmt.Sprintf("it has %d columns, had %d", len(w.Columns), len(rel.Columns))
	}
	for i, c := range w.Columns {
		if was := rel.Columns[i].Name; c.Name != was {
			return fmt.Sprintf("column %d is now %s, was %s", i+1, c.Name, was) // one of them was dropped and made again
		}
		// Under FULL Postgres flags every column, so that the flags say nothing about the key.
		if w.Identity != cdc.IdentityFull && c.Key != slices.Contains(rel.Key, i) {
			return fmt.Sprintf("its key is no longer (%s)", strings.Join(keyNames(rel), ", "))
		}
	}
	return ""
}

// columnDifferences names the columns that came, went, or are of another type; a Relation message numbers none, so that
// they are matched by their names. None means that both sides have the same names, though perhaps in another order.
func columnDifferences(rel *schemas.Relation, w *cdc.WireRelation) (changes []string) {
	now, was := map[string]*cdc.WireColumn{}, map[string]bool{}
	for i := range w.Columns {
		now[w.Columns[i].Name] = &w.Columns[i]
	}
	for i := range rel.Columns {
		was[rel.Columns[i].Name] = true
	}
	renamed := map[string]bool{}
	for i := range rel.Columns {
		c := &rel.Columns[i]
		is := now[c.Name]
		switch {
		case is == nil && len(w.Columns) == len(rel.Columns) && !was[w.Columns[i].Name] && sameType(&c.Type, &w.Columns[i]):
			renamed[w.Columns[i].Name] = true
			changes = append(changes, c.Name+" is now "+w.Columns[i].Name)
		case is == nil:
			changes = append(changes, "Postgres sends "+c.Name+" no more") // it is dropped, or a column list leaves it out
		case !sameType(&c.Type, is):
			changes = append(changes, c.Name+" is no longer "+c.Type.Name)
		}
	}
	for i := range w.Columns {
		if name := w.Columns[i].Name; !was[name] && !renamed[name] {
			changes = append(changes, "added "+name)
		}
	}
	return changes
}

// sameType compares types with their precision or length, which a domain has within itself.
func sameType(was *schemas.Type, now *cdc.WireColumn) bool {
	return now.TypeOID == was.OID && (was.OID != was.Base || now.TypeMod == was.Mod)
}

func keyNames(rel *schemas.Relation) []string {
	names := make([]string, len(rel.Key))
	for i, k := range rel.Key {
		names[i] = rel.Columns[k].Name
	}
	return names
}

// columns are those that shape fingerprints.
func columns(rel *schemas.Relation) []cdc.Column {
	out := make([]cdc.Column, len(rel.Columns))
	for i := range rel.Columns {
		c := &rel.Columns[i]
		out[i] = cdc.Column{Number: c.Attnum, Name: c.Name, Type: c.Type.Name}
	}
	return out
}
