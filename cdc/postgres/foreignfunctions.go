package postgres

import (
	"context"
)

// ForeignFunction is a function that Postgres runs with our rights where it plans to read a table, since the
// table's owner has put it into an index, a constraint or statistics, and that belongs to a role which has no claim
// to our rights.
type ForeignFunction struct {
	// Table, Function (with the types of its arguments) and Owner are quoted for SQL.
	Table, Function, Owner string
}

// foreignFunctionsSQL: superusers, the database's owner, our own role, and those that we are a member of are not
// foreign; a superuser counts as a member of every role, and so of none. An operator stands for its function.
const foreignFunctionsSQL = `
WITH part AS (
  SELECT indrelid AS relation, 'pg_class'::regclass AS class, indexrelid AS object FROM pg_index WHERE indrelid = ANY($1)
  UNION ALL SELECT conrelid, 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid = ANY($1)
  UNION ALL SELECT stxrelid, 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxrelid = ANY($1)),
called AS (
  SELECT part.relation, coalesce(o.oprcode::oid, d.refobjid) AS function
  FROM part JOIN pg_depend d ON d.classid = part.class AND d.objid = part.object AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
  LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid)
SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, t.relname), f.oid::regprocedure::text, pg_catalog.quote_ident(owner.rolname)
FROM called JOIN pg_proc f ON f.oid = called.function JOIN pg_roles owner ON owner.oid = f.proowner
  JOIN pg_class t ON t.oid = called.relation JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_roles own ON own.rolname = current_user JOIN pg_database db ON db.datname = pg_catalog.current_database()
WHERE NOT owner.rolsuper AND owner.oid <> own.oid AND owner.oid <> db.datdba
  AND (own.rolsuper OR NOT pg_catalog.pg_has_role(own.oid, owner.oid, 'USAGE'))
ORDER BY 1, 2`

// ForeignFunctions lists the functions of others that run with our rights when one of the tables is read.
func ForeignFunctions(ctx context.Context, q Querier, tables []uint32) (found []ForeignFunction, err error) {
	var s ForeignFunction
	err = Each(ctx, q, "pg_depend", []any{&s.Table, &s.Function, &s.Owner}, func() { found = append(found, s) }, foreignFunctionsSQL, tables)
	return found, err
}
