package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Relation is a table of the source with its columns, for checking names in the file against it.
type Relation struct {
	TableName
	// Columns are all columns, by their real names.
	Columns []string
	// Key are the columns of the table's key; empty leaves the rule about key columns out.
	Key []string
}

// CheckKeys refuses tables and columns of source.keys that the relations lack, with their place and the nearest name.
func (s Source) CheckKeys(relations []Relation) error {
	var errs Errors
	known := relationsByName(relations)
	for _, table := range sortedKeys(s.Keys) {
		path := keyPath{"source", "keys", table}
		relation, ok := known[table]
		if !ok {
			errs = append(errs, noSuchTable(s.at, path, table, known, sortedKeys(s.Keys)))
			continue
		}
		for i, column := range s.Keys[table] {
			if !slices.Contains(relation.Columns, column) {
				errs = append(errs, noSuchColumn(s.at, path.entry(i), column, relation, s.Keys[table]))
			}
		}
	}
	return errs.asError()
}

// Check returns an error for each table and column named in the section that the relations do not have, and for each
// key column that is dropped, masked, shortened or (mode allowlist) not named at all, because rows could then not be
// distinguished. Each names its place and the nearest right name. A nil Privacy has nothing to check.
func (p *Privacy) Check(relations []Relation) error {
	if p == nil {
		return nil
	}
	known := relationsByName(relations)
	errs := p.checkColumns(known)
	errs = append(errs, p.checkDomains(known)...)
	for _, relation := range relations {
		errs = append(errs, p.checkKey(relation)...)
	}
	return errs.asError()
}

// CheckRenamed returns an error, with its Table, for each of the relations that may be one that the section names,
// under another name: in mode open it would be published without its policies. These are the tables that
// privacy.columns does not name, as long as the section names a table that does not exist. In mode allowlist nothing of
// such a table is published.
func (p *Privacy) CheckRenamed(relations, all []Relation) error {
	if p == nil || p.Mode != ModeOpen {
		return nil
	}
	gone := slices.DeleteFunc(append(p.checkColumns(relationsByName(all)), p.checkDomains(relationsByName(all))...),
		func(e *Error) bool { return e.Table != "" }).sorted()
	if len(gone) == 0 {
		return nil
	}
	var errs Errors
	for _, relation := range relations {
		if _, named := p.Columns[relation.String()]; named {
			continue
		}
		renamed := *gone[0] // its place and key
		renamed.What += fmt.Sprintf(", and %s, which privacy.columns does not name, may be that table under a new name", relation)
		errs = append(errs, renamed.fix("%q under privacy.columns, with the policies of the former name; or there %[1]q: {\"*\": keep}", relation).about(relation))
	}
	return errs.asError()
}

func (p *Privacy) checkColumns(known map[string]Relation) (errs Errors) {
	for table, columns := range p.Columns {
		path := keyPath{"privacy", "columns", table}
		relation, ok := known[table]
		if !ok {
			errs = append(errs, noSuchTable(p.at, path, table, known, sortedKeys(p.Columns)))
			continue
		}
		for column := range columns {
			if column != AnyColumn && !slices.Contains(relation.Columns, column) {
				errs = append(errs, noSuchColumn(p.at, path.child(column), column, relation, sortedKeys(columns)))
			}
		}
	}
	return errs
}

func (p *Privacy) checkDomains(known map[string]Relation) (errs Errors) {
	taken := slices.Concat(slices.Collect(maps.Values(p.Hash.Domains))...)
	for domain, columns := range p.Hash.Domains {
		for i, full := range columns {
			path := keyPath{"privacy", "hash", "domains", domain}.entry(i)
			name, column, _ := splitColumn(full)
			relation, ok := known[name.String()]
			if !ok {
				err := p.at.errorf(path, "there is no table %s", p.at.quote(path, name.String()))
				errs = append(errs, err.fix("%s", tryFree(full, havingColumn(known, column), taken, removeIt)))
			} else if !slices.Contains(relation.Columns, column) {
				err := noSuchColumn(p.at, path, column, relation, taken)
				all := make([]string, len(relation.Columns))
				for i, other := range relation.Columns {
					all[i] = relation.String() + "." + other
				}
				errs = append(errs, err.fix("%s", tryFree(full, all, taken, removeIt)))
			}
		}
	}
	return errs
}

func (p *Privacy) checkKey(relation Relation) (errs Errors) {
	for _, column := range relation.Key {
		policy, named := p.For(relation.Schema, relation.Table, column)
		if policy.unique() {
			continue
		}
		path, try := keyPath{"privacy", "columns", relation.String(), column}, "keep or hash"
		if _, itself := p.Columns[relation.String()][column]; !itself { // what "*" says is about other columns, too
			try = fmt.Sprintf("%q: keep, or %[1]q: hash, under privacy.columns.%s", column, relation)
			if named {
				path[len(path)-1] = AnyColumn
			}
		}
		what := fmt.Sprintf("has the policy %q", policy)
		if !named {
			what = "is not named, so it is withheld"
		}
		err := p.at.errorf(path, "column %q belongs to the key of %s and %s: rows with different keys would become one", column, relation, what)
		errs = append(errs, err.fix("%s", try).about(relation))
	}
	return errs
}

// havingColumn are the columns of that name, as hash.domains names them.
func havingColumn(known map[string]Relation, column string) (names []string) {
	for name, relation := range known {
		if slices.Contains(relation.Columns, column) {
			names = append(names, name+"."+column)
		}
	}
	return names
}

func relationsByName(relations []Relation) map[string]Relation {
	known := make(map[string]Relation, len(relations))
	for _, relation := range relations {
		known[relation.String()] = relation
	}
	return known
}

// noSuchTable proposes a name that the list does not have already.
func noSuchTable(at *positions, path keyPath, table string, known map[string]Relation, taken []string) *Error {
	return at.errorf(path, "there is no table %s", at.quote(path, table)).fix("%s", tryFree(table, slices.Collect(maps.Keys(known)), taken, removeIt))
}

func noSuchColumn(at *positions, path keyPath, column string, relation Relation, taken []string) *Error {
	err := at.errorf(path, "table %s has no column %s", relation, at.quote(path, column))
	err.NoColumn = true
	return err.fix("%s", tryFree(column, relation.Columns, taken, removeIt)).about(relation)
}

func (e *Error) about(relation Relation) *Error {
	e.Table = relation.String()
	return e
}

// splitTable reads schema.table; a table's name may hold further dots, a schema's may not.
func splitTable(name string) (TableName, bool) {
	schema, table, ok := strings.Cut(name, ".")
	return TableName{Schema: schema, Table: table}, ok && schema != "" && table != ""
}

// splitColumn reads schema.table.column; the column is what follows the last dot.
func splitColumn(name string) (TableName, string, bool) {
	last := strings.LastIndexByte(name, '.')
	if last < 0 {
		return TableName{}, "", false
	}
	table, ok := splitTable(name[:last])
	return table, name[last+1:], ok && last+1 < len(name)
}
