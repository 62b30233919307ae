package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Rights are what a role may do with one table, and who could grant what is missing. Names are quoted for SQL. To copy
// a table the role needs Uses, Selects and not Hidden; and Joins, unless the publication has the table already.
type Rights struct {
	Role, Schema, Table, Owner string
	// Uses is USAGE on the schema; Selects is SELECT on every column that is copied; Hidden says that row-level
	// security hides rows, so that the copy would see fewer than the log.
	Uses, Selects, Hidden bool
	// Owns says that the role has the rights of the owner; Joins, that it may add the table to the existing
	// publication.
	Owns, Joins bool
	// What the table's owner may do: use the schema, create an index in it, create a publication, add the table to the
	// existing one, grant USAGE on the schema.
	OwnerUses, OwnerBuilds, OwnerPublishes, OwnerJoins, OwnerOpens bool
	// SchemaOwner is a role that can log in or be granted; for pg_database_owner it is the database's owner.
	SchemaOwner string
	// Publisher is the publication's owner, if it may add the table and is no superuser; otherwise empty.
	Publisher string
}

// rightsSQL asks about the role that streams from the slot $2, otherwise about the current user.
const rightsSQL = `
WITH who AS (SELECT r.oid, pg_catalog.quote_ident(r.rolname) AS name, r.rolsuper OR r.rolbypassrls AS sees FROM pg_roles r WHERE r.oid = coalesce(
  (SELECT a.usesysid FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $2),
  (SELECT u.oid FROM pg_roles u WHERE u.rolname = current_user)))
SELECT c.oid, who.name, pg_catalog.quote_ident(n.nspname), pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),
  pg_catalog.has_schema_privilege(who.oid, n.oid, 'USAGE'),
  pg_catalog.has_table_privilege(who.oid, c.oid, 'SELECT') OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
    AND NOT a.attisdropped AND a.attgenerated = '' AND (NOT c.oid = ANY ($4::oid[]) OR EXISTS (
      SELECT FROM ROWS FROM (pg_catalog.unnest($4::oid[]), pg_catalog.unnest($5::int2[])) AS need (relation, attnum)
      WHERE need.relation = c.oid AND need.attnum = a.attnum)) AND NOT pg_catalog.has_column_privilege(who.oid, c.oid, a.attnum, 'SELECT')),
  c.relrowsecurity AND NOT who.sees AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(who.oid, c.relowner, 'USAGE')),
  pg_catalog.pg_has_role(who.oid, c.relowner, 'USAGE'),
  coalesce(pg_catalog.pg_has_role(who.oid, p.pubowner, 'USAGE'), true) AND pg_catalog.pg_has_role(who.oid, c.relowner, 'USAGE'),
  pg_catalog.has_schema_privilege(c.relowner, n.oid, 'USAGE'), pg_catalog.has_schema_privilege(c.relowner, n.oid, 'CREATE'),
  pg_catalog.has_database_privilege(c.relowner, d.oid, 'CREATE'),
  coalesce(pg_catalog.pg_has_role(c.relowner, p.pubowner, 'USAGE'), true), pg_catalog.pg_has_role(c.relowner, n.nspowner, 'USAGE'),
  pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(CASE WHEN n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = 'pg_database_owner') THEN d.datdba ELSE n.nspowner END)),
  coalesce((SELECT pg_catalog.quote_ident(o.rolname) FROM pg_roles o WHERE o.oid = p.pubowner AND NOT o.rolsuper AND pg_catalog.pg_has_role(o.oid, c.relowner, 'USAGE')), '')
FROM who CROSS JOIN pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_database d ON d.datname = pg_catalog.current_database()
LEFT JOIN pg_publication p ON p.pubname = $1
WHERE c.oid = ANY ($3)`

// ReadRights reads the rights to tables, by OID, of the role that streams from the slot, or of the current user if
// no session does (or slot is empty). Of listed tables only the columns that they need count. A dropped table has
// no entry.
func ReadRights(ctx context.Context, q Querier, publication, slot string, oids []uint32, listed ...*cdc.Table) (map[uint32]*Rights, error) {
	needing, needs := []uint32{}, []int16{}
	for _, t := range listed {
		for _, n := range t.Needs {
			needing, needs = append(needing, t.OID), append(needs, n)
		}
	}
	out := map[uint32]*Rights{}
	var oid uint32
	var r Rights
	err := Each(ctx, q, "the rights to tables", []any{&oid, &r.Role, &r.Schema, &r.Table, &r.Owner, &r.Uses, &r.Selects, &r.Hidden, &r.Owns, &r.Joins,
		&r.OwnerUses, &r.OwnerBuilds, &r.OwnerPublishes, &r.OwnerJoins, &r.OwnerOpens, &r.SchemaOwner, &r.Publisher}, func() {
		one := r
		out[oid] = &one
	}, rightsSQL, publication, slot, oids, needing, needs)
	return out, err
}

// Grants is what lets the role read what is needed of the table, as one way out; ok is false if nothing is missing.
func (r *Rights) Grants(t *cdc.Table) (way cdc.Remedy, ok bool) {
	var steps []string
	way.By = "the owner of " + r.Table
	if r.Hidden { // to read it without the rows that a policy hides would be a gap
		way.By, steps = "a superuser", append(steps, "ALTER ROLE "+r.Role+" BYPASSRLS")
	}
	if !r.Uses {
		way.By, steps = "a superuser", append(steps, "GRANT USAGE ON SCHEMA "+r.Schema+" TO "+r.Role)
	}
	if !r.Selects {
		steps = append(steps, r.GrantSelect(t))
	}
	way.Command = strings.Join(steps, "; ")
	return way, len(steps) > 0
}

// rightsTime bounds the question for what is missing.
const rightsTime = 5 * time.Second

// MayRead adds to the problem of a table that the login may not read what gives it the right: Postgres' own error
// does not say whether it is the schema, the table or a policy. Where nothing is missing any more, or it cannot be
// asked, the way out is the check that knows.
func (l Login) MayRead(ctx context.Context, p *cdc.Problem, t *cdc.Table) *cdc.Problem {
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	conn, err := l.Connect(ctx)
	if err != nil {
		return p.Fix("dirtbike check, which names the right that is missing")
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	all, err := ReadRights(ctx, conn, "", "", []uint32{t.OID}, t)
	if r := all[t.OID]; err == nil && r != nil {
		if way, missing := r.Grants(t); missing {
			return p.FixBy(way.By, "%s", way.Command)
		}
	}
	return p.Fix("dirtbike check, which names the right that is missing")
}

// GrantSelect is the statement that lets the role read what has to be read of the table: the columns that leave, or
// the whole table where nothing is withheld.
func (r *Rights) GrantSelect(t *cdc.Table) string {
	return "GRANT SELECT" + NeededColumns(t) + " ON TABLE " + r.Table + " TO " + r.Role
}

// NeededColumns lists the columns that leave, as a grant and a publication take them, " (a, b)"; empty if all do.
func NeededColumns(t *cdc.Table) string {
	if t == nil || t.Needs == nil || len(t.Needs) == len(t.Columns)+len(t.Unsent) {
		return ""
	}
	var names []string
	for _, c := range t.Columns {
		if slices.Contains(t.Needs, c.Number) {
			names = append(names, schemas.SQLIdentifier(c.Name))
		}
	}
	return " (" + strings.Join(names, ", ") + ")"
}
