package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/config"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
)

// Policies are checked as if all printed statements had been run: a table that has to be fixed in Postgres first has
// its key then, and each command names all columns whose policy has to change.

// indexesSQL lists the unique indexes of tables with the columns of their keys.
const indexesSQL = `
SELECT i.indrelid, quote_ident(x.relname), i.indisprimary, i.indisreplident,
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(n, at) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n
    WHERE u.at <= i.indnkeyatts ORDER BY u.at)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = ANY ($1) AND i.indisunique`

type index struct {
	table             uint32
	name              string // quoted
	primary, identity bool
	columns           []string
}

// readRelations reads the tables' columns, with the keys that they have once they are fixed.
func (r *run) readRelations(ctx context.Context, conn *pgx.Conn, tables []table) error {
	all, err := catalog.All(ctx, conn)
	if err != nil {
		return err
	}
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.oid
	}
	rows, err := conn.Query(ctx, indexesSQL, oids)
	if err != nil {
		return fmt.Errorf("read pg_index: %w", serverError(err))
	}
	indexes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i index, err error) {
		return i, row.Scan(&i.table, &i.name, &i.primary, &i.identity, &i.columns)
	})
	if err != nil {
		return fmt.Errorf("read pg_index: %w", serverError(err))
	}
	r.relations = map[uint32]*schemas.Relation{}
	for i := range tables {
		if rel := all[tables[i].oid]; rel != nil {
			keyed := *rel
			keyed.Key = keyed.Key[:0:0]
			names := r.config.Source.Keys[rel.FullName()]
			if names == nil {
				names = tables[i].keyAfterFixes(indexes)
			}
			for _, name := range names {
				if at := slices.IndexFunc(rel.Columns, func(c schemas.Column) bool { return c.Name == name }); at >= 0 {
					keyed.Key = append(keyed.Key, at)
				}
			}
			r.relations[rel.OID] = &keyed
		}
	}
	return nil
}

// keyAfterFixes are the columns of the table's key after its fixes.
func (t *table) keyAfterFixes(indexes []index) []string {
	fits := func(i index) bool { return i.primary }
	switch {
	case t.candidate != "" && strings.Contains(t.fixStatements(), "USING INDEX "+t.candidate):
		fits = func(i index) bool { return i.name == t.candidate }
	case t.identity == "i" && t.indexed:
		fits = func(i index) bool { return i.identity }
	}
	if at := slices.IndexFunc(indexes, func(i index) bool { return i.table == t.oid && fits(i) }); at >= 0 {
		return indexes[at].columns
	}
	return nil
}

// judgeLater says what the config lacks for a table that can be captured only once the printed statements are run. It
// reports whether it lacks anything.
func (r *run) judgeLater(t *cdc.Table) bool {
	rel := r.relations[t.OID]
	if rel == nil {
		return false
	}
	problem := r.misspeltIn(rel)
	columns := r.unfitting(rel)
	var why, command string
	switch {
	case problem != nil:
		said := explain(problem)
		why, command = said.What, nameFix(problem, firstWay(said))
	case len(columns) > 0:
		why, command = "as soon as it can be captured, its "+lacking(columns), columnPolicies(rel, columns)
	default:
		return false
	}
	r.parts[partConfig].fail("config-policies", t.FullName(), command, "%s", why)
	return true
}

// columnFix is a column whose policy does not fit, and one that does.
type columnFix struct {
	name, policy string
	key          bool
}

func lacking(columns []columnFix) string {
	var key, other []string
	for _, c := range columns {
		if c.key {
			key = append(key, c.name)
		} else {
			other = append(other, c.name)
		}
	}
	var out []string
	if len(key) > 0 {
		out = append(out, "key needs the policy keep or hash for "+some(key))
	}
	if len(other) > 0 {
		out = append(out, "policy does not suit the type of "+some(other))
	}
	return strings.Join(out, ", and its ")
}

// unfitting are all columns whose policy has to change: for keep if they belong to the key, else for drop.
func (r *run) unfitting(rel *schemas.Relation) (out []columnFix) {
	for i := range rel.Columns {
		key := slices.Contains(rel.Key, i)
		_, carried, err := r.trial.Policies.For(rel, i)
		switch {
		case key && (err != nil || !carried):
			out = append(out, columnFix{rel.Columns[i].Name, "keep", true})
		case err != nil:
			out = append(out, columnFix{rel.Columns[i].Name, "drop", false})
		}
	}
	return out
}

// keyless reports whether a column of the key is of a type that no key can have, under any policy.
func keyless(rel *schemas.Relation) bool {
	return slices.ContainsFunc(rel.Key, func(k int) bool { return schemas.KeyRefusal(rel.Columns[k].Type) != "" })
}

// columnPolicies is YAML for the config that gives columns these policies.
func columnPolicies(rel *schemas.Relation, columns []columnFix) string {
	pairs := make([]string, len(columns))
	for i, c := range columns {
		pairs[i] = yamlText(c.name) + ": " + c.policy
	}
	return setting("privacy", "columns", "{"+yamlText(rel.FullName())+": {"+strings.Join(pairs, ", ")+"}}")
}

// policyCommand is the config's way out for policies that their table does not fit: keep for key columns, drop for
// others; for a column that the table does not have, the nearest one.
func (r *run) policyCommand(t *cdc.Table) string {
	if problem := misspelt(t.Refused); problem != nil {
		return nameFix(problem, firstWay(explain(problem)))
	}
	rel := r.relations[t.OID]
	if rel == nil || keyless(rel) {
		return ""
	}
	if columns := r.unfitting(rel); len(columns) > 0 {
		return columnPolicies(rel, columns)
	}
	return ""
}

// misspeltIn is the first name of a column in the config that the table does not have.
func (r *run) misspeltIn(rel *schemas.Relation) *config.Error {
	names := make([]string, len(rel.Columns))
	for i := range rel.Columns {
		names[i] = rel.Columns[i].Name
	}
	var problems config.Errors
	errors.As(r.config.Privacy.Check([]config.Relation{{TableName: config.TableName{Schema: rel.Schema, Table: rel.Name}, Columns: names}}), &problems)
	own := slices.DeleteFunc(problems, func(e *config.Error) bool { return e.Table != rel.FullName() })
	return misspelt(own)
}

// misspelt is the first name of a column that its table does not have; nil if there is none. It comes before a key
// column that is not named, which may be the one that was meant.
func misspelt(err error) *config.Error {
	all := problems(err)
	if at := slices.IndexFunc(all, func(e *config.Error) bool { return e.NoColumn }); at >= 0 {
		return all[at]
	}
	return nil
}

// problems finds those of the config in an error of several.
func problems(err error) (out []*config.Error) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand, so that nothing in it is passed over
	case *config.Error:
		return []*config.Error{e}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			out = append(out, problems(one)...)
		}
	case interface{ Unwrap() error }:
		return problems(e.Unwrap())
	}
	return out
}

// nameFix says in words what to write in place of a name that nothing has. It is no line for the config: several such
// names, and tables that are to be left out, would undo each other.
func nameFix(err error, try string) string {
	var problem *config.Error
	if !errors.As(err, &problem) {
		return try
	}
	where := problem.Key + " (line " + strconv.Itoa(problem.Line) + ")"
	if nearest, err := strconv.Unquote(try); err == nil {
		return "in " + where + " write " + yamlText(nearest)
	}
	return "in " + where + ": " + try
}
