package pipeline

import (
	"errors"
	"slices"

	"dirtbike/cdc/postgres/catalog"
	"dirtbike/config"
	"dirtbike/schemas"
)

// selection lets the catalog ask the config which tables are captured.
type selection struct{ config *config.Config }

// Match implements catalog.Selection.
func (s selection) Match(schema, table string) bool { return s.config.Source.Match(schema, table) }

// Check implements catalog.Selection: every name in the config must be a name in the database. A policy whose column is
// not there costs its table: the column may be there under another name, and would be published as it is.
func (s selection) Check(all []*schemas.Relation) error {
	names := make([]config.TableName, len(all))
	relations := make([]config.Relation, len(all))
	for i, rel := range all {
		names[i] = config.TableName{Schema: rel.Schema, Table: rel.Name}
		relations[i] = config.Relation{TableName: names[i], Columns: columnNames(rel)}
		if s.Match(rel.Schema, rel.Name) {
			for _, k := range rel.Key {
				relations[i].Key = append(relations[i].Key, rel.Columns[k].Name)
			}
		}
	}
	captured := slices.DeleteFunc(slices.Clone(relations), func(r config.Relation) bool { return !s.Match(r.Schema, r.Table) })
	source, privacy := s.config.Source, s.config.Privacy
	return errors.Join(s.config.Source.CheckGlobs(names), byTable(source.CheckKeys(relations), false), byTable(privacy.Check(relations), false),
		byTable(privacy.CheckRenamed(captured, relations), true))
}

// byTable lets the catalog know which problems are one table's.
func byTable(err error, blocks bool) error {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return err
	}
	var out []error
	for _, p := range problems {
		if p.Table == "" {
			out = append(out, p)
			continue
		}
		out = append(out, &catalog.TableError{Table: p.Table, BlocksStart: blocks, Err: p})
	}
	return errors.Join(out...)
}

func columnNames(rel *schemas.Relation) []string {
	names := make([]string, len(rel.Columns))
	for i := range rel.Columns {
		names[i] = rel.Columns[i].Name
	}
	return names
}

// rules lets the policies ask the config what happens to a column.
type rules struct{ config *config.Config }

// For implements privacy.Rules.
func (r rules) For(schema, table, column string) (policy string, named bool) {
	p, named := r.config.Privacy.For(schema, table, column)
	return string(p), named
}

// Domain implements privacy.Rules.
func (r rules) Domain(schema, table, column string) string {
	return r.config.Privacy.Domain(schema, table, column)
}
