package preflight

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/config"
	"dirtbike/schemas"
)

// Policies are checked as if all printed statements had been run: a table that has to be fixed in Postgres first has
// its key then, and each command names all columns whose policy has to change.

// readRelations reads the tables' columns, with the keys that they have once they are fixed.
func (r *run) readRelations(ctx context.Context, conn *pgx.Conn, tables []table) error {
	all, err := catalog.All(ctx, conn)
	if err != nil {
		return err
	}
	indexes, err := postgres.UniqueIndexes(ctx, conn, oidsOf(tables))
	if err != nil {
		return fmt.Errorf("read pg_index: %w", serverError(err))
	}
	r.relations = map[uint32]*schemas.Relation{}
	for i := range tables {
		rel := all[tables[i].OID]
		if rel == nil {
			continue
		}
		names := r.config.Source.Keys[rel.FullName()]
		if names == nil {
			names = tables[i].keyAfterFixes(indexes)
		}
		keyed := *rel
		keyed.Key = nil
		for _, name := range names {
			if at := slices.IndexFunc(rel.Columns, func(c schemas.Column) bool { return c.Name == name }); at >= 0 {
				keyed.Key = append(keyed.Key, at)
			}
		}
		r.relations[rel.OID] = &keyed
	}
	return nil
}

// keyAfterFixes are the columns of the table's key after its fixes.
func (t *table) keyAfterFixes(indexes []postgres.UniqueIndex) []string {
	fits := func(i postgres.UniqueIndex) bool { return i.Primary }
	switch {
	case t.Candidate != "" && strings.Contains(t.fixStatements(), "USING INDEX "+t.Candidate):
		fits = func(i postgres.UniqueIndex) bool { return i.Name == t.Candidate }
	case t.Identity == "i" && t.Indexed:
		fits = func(i postgres.UniqueIndex) bool { return i.Identity }
	}
	if at := slices.IndexFunc(indexes, func(i postgres.UniqueIndex) bool { return i.Table == t.OID && fits(i) }); at >= 0 {
		return indexes[at].Columns
	}
	return nil
}

// judgeLater says what the config lacks for a table once the printed statements are run, if anything.
func (r *run) judgeLater(t *cdc.Table) bool {
	rel := r.relations[t.OID]
	if rel == nil {
		return false
	}
	q := question{slug: "config-policies", subject: t.FullName()}
	if problem := r.misspeltIn(rel); problem != nil {
		said := explain(problem)
		q.bad, q.command = said.What, nameFix(problem, firstWay(said))
	} else if columns := r.unfitting(rel); len(columns) > 0 {
		q.bad, q.command = "as soon as it can be captured, its "+lacking(columns), columnPolicies(rel, columns)
	} else {
		return false
	}
	r.parts[partConfig].judge(q)
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
	between := when(len(key) > 0 && len(other) > 0, ", and its ")
	return when(len(key) > 0, "key needs the policy keep or hash for %s", cdc.Few(key)) + between +
		when(len(other) > 0, "policy does not suit the type of %s", cdc.Few(other))
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

// policyCommand is the config's way out: keep for key columns, drop for others, the nearest name for an unknown one.
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

// misspelt is the first column name in the config that its table lacks; it may mean a key column that is not named.
func misspelt(err error) *config.Error {
	for cause := range causes(err) {
		if e, is := cause.(*config.Error); is && e.NoColumn { //nolint:errorlint // each error is examined by itself
			return e
		}
	}
	return nil
}

// catalogProblem is the first problem in an error that is not the config's; nil if there is none.
func catalogProblem(err error) *cdc.Problem {
	for cause := range causes(err) {
		if p, is := cause.(*cdc.Problem); is { //nolint:errorlint // as above
			return p
		}
	}
	return nil
}

// causes are an error and everything that it wraps; what a problem of the config consists of is left out.
func causes(err error) iter.Seq[error] {
	return func(yield func(error) bool) { eachCause(err, yield) }
}

func eachCause(err error, yield func(error) bool) bool {
	var within []error
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand, so that nothing in it is passed over
	case *config.Error:
	case interface{ Unwrap() []error }:
		within = e.Unwrap()
	case interface{ Unwrap() error }:
		within = []error{e.Unwrap()}
	}
	return err == nil || yield(err) && !slices.ContainsFunc(within, func(one error) bool { return !eachCause(one, yield) })
}

// nameFix says in words what to write instead of a name that matches nothing. It is no line for the config: lines for
// several such names, and for tables to leave out, would undo each other.
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
