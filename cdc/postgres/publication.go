package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
)

// Publication is a publication as the catalog has it, with the tables that were asked for.
type Publication struct {
	Name  string
	Found bool
	// SQLName and Owner are quoted for SQL; Owned says that our role has the rights of the owner.
	SQLName, Owner string
	Owned          bool
	// Filtered are its tables with a row filter: OIDs and quoted names in the same order.
	Filtered      []uint32
	FilteredNames []string

	settings []setting // those that must change
	tables   map[uint32]membership
}

// membership is what publishes one table, and whether its changes are sent: those of a table without a log are not.
type membership struct {
	by    cdc.PublishedBy
	sends bool
}

// setting is a setting of a publication that must change.
type setting struct{ why, value string }

// PublishedBy says what publishes the table; nil if its changes are not sent.
func (p *Publication) PublishedBy(oid uint32) cdc.PublishedBy {
	if m := p.tables[oid]; m.sends {
		return m.by
	}
	return nil
}

// Lists says that the table is part of the publication, though its changes may not be sent: a table may have no log.
func (p *Publication) Lists(oid uint32) bool { return len(p.tables[oid].by) > 0 }

// ListsItself says that the publication names the table itself, and not only its schema, what it is a partition of, or
// all tables: only then it may have a column list.
func (p *Publication) ListsItself(oid uint32) bool {
	return slices.ContainsFunc(p.tables[oid].by, func(by string) bool { return strings.HasPrefix(by, "table ") && !strings.Contains(by, " below ") })
}

// Settings are those that must change, as SET takes them.
func (p *Publication) Settings() string {
	values := make([]string, len(p.settings))
	for i, s := range p.settings {
		values[i] = s.value
	}
	return strings.Join(values, ", ")
}

// Problem says why the publication cannot be used as it is: changes would be missing. nil if it can.
func (p *Publication) Problem() *cdc.Problem {
	if problem := p.unusable(); problem != nil {
		return problem
	}
	if len(p.FilteredNames) > 0 {
		return p.filter(strings.Join(p.FilteredNames, ", "))
	}
	return nil
}

// unusable says why it cannot be used for any table; nil if it can.
func (p *Publication) unusable() *cdc.Problem {
	for _, s := range p.settings {
		return cdc.Refused("publication %s %s", p.Name, s.why).Fix("ALTER PUBLICATION %s SET (%s)", p.SQLName, s.value)
	}
	return nil
}

func (p *Publication) filter(tables string) *cdc.Problem {
	return cdc.Refused("publication %s has a row filter on %s, so changes would be missing", p.Name, tables).
		Fix("ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE ONLY %s", p.SQLName, tables, p.SQLName, tables)
}

// filtered is the trouble of those of the tables that have a row filter; nil if none has.
func (p *Publication) filtered(tables []*cdc.Table) error {
	var names []string
	for i, oid := range p.Filtered {
		if slices.Contains(OIDs(tables), oid) {
			names = append(names, p.FilteredNames[i])
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &cdc.TableTrouble{Err: p.filter(strings.Join(names, ", "))}
}

// publicationSQL asks for as much as Postgres 14 knows: what is newer is read from the rows as they are. Row filters
// (Postgres 15 on) leave changes out silently; column lists are the catalog package's.
const publicationSQL = `
SELECT pg_catalog.quote_ident(p.pubname), pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(p.pubowner)), pg_catalog.pg_has_role(p.pubowner, 'USAGE'),
  NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate), p.pubviaroot, coalesce(pg_catalog.to_jsonb(p) ->> 'pubgencols', 'n') <> 'n',
  coalesce(f.oids, '{}'), coalesce(f.names, '{}')
FROM pg_publication p LEFT JOIN LATERAL (SELECT pg_catalog.array_agg(c.oid ORDER BY n.nspname, c.relname) AS oids,
    pg_catalog.array_agg(pg_catalog.format('%I.%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname) AS names
  FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE r.prpubid = p.oid AND pg_catalog.to_jsonb(r) ->> 'prqual' IS NOT NULL) f ON true
WHERE p.pubname = $1`

// ReadPublication reads a publication and what publishes each of the tables, by OID. It waits for no lock.
func ReadPublication(ctx context.Context, q Querier, name string, oids []uint32) (*Publication, error) {
	p := &Publication{Name: name, tables: map[uint32]membership{}}
	var incomplete, viaRoot, generated bool
	err := q.QueryRow(ctx, publicationSQL, name).Scan(&p.SQLName, &p.Owner, &p.Owned, &incomplete, &viaRoot, &generated, &p.Filtered, &p.FilteredNames)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return p, nil
	case err != nil:
		return nil, fmt.Errorf("read pg_publication: %w", err)
	}
	p.Found = true
	must := func(wrong bool, why, value string) {
		if wrong {
			p.settings = append(p.settings, setting{why, value})
		}
	}
	must(incomplete, "leaves operations out", "publish = 'insert, update, delete, truncate'")
	must(viaRoot, "has publish_via_partition_root, which hides TRUNCATE, ATTACH and DETACH of partitions", "publish_via_partition_root = false")
	must(generated, "sends generated columns, which dirtbike withholds", "publish_generated_columns = none")
	return p, p.readMembers(ctx, q, oids)
}

// membersSQL names what publishes each table: its own row of pg_publication_rel, that of its schema (schemaSQL), or the
// publication itself if it is for all tables; a partition is published by those of the tables above it, too. What can
// be undone and done again and leaves the row the same is part of the name: the xmin of the publication (its options),
// of the rows of pg_inherits on the way up (DETACH and ATTACH), and of the dependency on the schema (SET SCHEMA).
// Nothing else updates these rows, except that of the publication, which a new owner updates, too: the owner is named,
// and whether the last update was the owner's change (it updates the dependency on the owner in the same transaction;
// the superuser of initdb has none), see cdc.PublishedBy. Kind and persistence say whether the changes of a table that
// is named are sent at all: the view pg_publication_tables opens every table, and so waits for one that is locked.
//
// Not seen: a table made UNLOGGED and LOGGED again between two checks; only one that is published by its schema, or
// with all tables, can be.
const membersSQL = `
WITH RECURSIVE up AS (
  SELECT c.oid AS relation, c.oid AS of, '' AS way, c.relispartition AS more FROM pg_class c WHERE c.oid = ANY($2)
  UNION ALL
  SELECT up.relation, i.inhparent, pg_catalog.format('%s below %s %s', up.way, i.inhparent, i.xmin), c.relispartition
  FROM up JOIN pg_inherits i ON i.inhrelid = up.of JOIN pg_class c ON c.oid = i.inhparent WHERE up.more),
published AS (SELECT p.oid, p.puballtables, pg_catalog.format('%s owner %s %s', p.xmin, p.pubowner, coalesce((SELECT d.xmin = p.xmin FROM pg_shdepend d
  WHERE d.dbid = (SELECT b.oid FROM pg_database b WHERE b.datname = pg_catalog.current_database()) AND d.classid = 'pg_publication'::regclass
  AND d.objid = p.oid AND d.objsubid = 0 AND d.deptype = 'o'), true)::int) AS last FROM pg_publication p WHERE p.pubname = $1)
SELECT up.relation, pg_catalog.format('%s%s of %s %s', m.name, up.way, p.oid, p.last), t.relkind = 'r' AND t.relpersistence = 'p'
FROM published p CROSS JOIN up JOIN pg_class t ON t.oid = up.relation CROSS JOIN LATERAL (
  SELECT pg_catalog.format('table %s', r.oid) AS name FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = up.of
  UNION ALL
  SELECT 'all tables' WHERE p.puballtables AND up.relation = up.of`

// schemaSQL goes on with membersSQL on servers that publish schemas (Postgres 15 on).
const schemaSQL = `
  UNION ALL
  SELECT pg_catalog.format('schema %s %s', n.oid, d.xmin) FROM pg_class c JOIN pg_publication_namespace n ON n.pnnspid = c.relnamespace AND n.pnpubid = p.oid
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = 'pg_namespace'::regclass
  WHERE c.oid = up.of`

func (p *Publication) readMembers(ctx context.Context, q Querier, oids []uint32) error {
	sql, schemas := membersSQL, false
	if err := q.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::int >= 150000").Scan(&schemas); err != nil {
		return fmt.Errorf("ask Postgres for its version: %w", err)
	}
	if schemas {
		sql += schemaSQL
	}
	var oid uint32
	var member string
	var sends bool
	return Each(ctx, q, "pg_publication_rel", []any{&oid, &member, &sends}, func() {
		p.tables[oid] = membership{append(p.tables[oid].by, member), sends}
	}, sql+") m ORDER BY 1, 2", p.Name, oids)
}

// Published implements cdc.Source.
func (s *Source) Published(ctx context.Context, tables []*cdc.Table) (found bool, members map[uint32]cdc.PublishedBy, err error) {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return false, nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	p, err := s.published(ctx, conn, tables)
	if err != nil {
		return false, nil, err
	}
	members = map[uint32]cdc.PublishedBy{}
	for _, t := range tables {
		if by := p.PublishedBy(t.OID); by != nil && !slices.Contains(p.Filtered, t.OID) {
			members[t.OID] = by
		}
	}
	return p.Found, members, nil
}

// published reads the publication, and refuses one that can be used for no table.
func (s *Source) published(ctx context.Context, conn *pgx.Conn, tables []*cdc.Table) (*Publication, error) {
	p, err := ReadPublication(ctx, conn, s.options.Publication, OIDs(tables))
	if err != nil {
		return nil, err
	}
	if problem := p.unusable(); problem != nil {
		return nil, problem
	}
	return p, nil
}

// EnsurePublication implements cdc.Source. What it may not change itself it refuses with the statement that does.
func (s *Source) EnsurePublication(ctx context.Context, tables []*cdc.Table) error {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	p, err := s.published(ctx, conn, tables)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(tables), func(t *cdc.Table) bool { return p.PublishedBy(t.OID) != nil })
	switch name := quote(s.options.Publication); {
	case !p.Found && len(tables) == 0:
		return s.execute(ctx, conn, "CREATE PUBLICATION "+name, tables)
	case !p.Found:
		return s.execute(ctx, conn, "CREATE PUBLICATION "+name+" FOR TABLE "+tableList(tables), tables)
	case len(missing) > 0:
		if err := s.execute(ctx, conn, "ALTER PUBLICATION "+name+" ADD TABLE "+tableList(missing), missing); err != nil {
			return err
		}
	}
	return p.filtered(tables)
}

// execute runs a statement; if our role lacks the right, the error holds the statement, to be run by a role that has
// it.
func (s *Source) execute(ctx context.Context, conn *pgx.Conn, sql string, tables []*cdc.Table) error {
	_, err := conn.Exec(ctx, sql)
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == codeNoRight {
		return cdc.Refused("%s", said.Message).FixBy(s.whoMay(ctx, conn, tables), "%s", sql)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// whoMaySQL: one role owns all the tables, and may create a publication or owns the existing one.
const whoMaySQL = `SELECT pg_catalog.count(DISTINCT relowner) = 1 AND pg_catalog.bool_and(pg_catalog.has_database_privilege(relowner, pg_catalog.current_database(), 'CREATE'))
  AND NOT EXISTS (SELECT FROM pg_publication WHERE pubname = $2 AND
    NOT pg_catalog.pg_has_role((SELECT pg_catalog.min(relowner::int8)::oid FROM pg_class WHERE oid = ANY($1)), pubowner, 'USAGE'))
FROM pg_class WHERE oid = ANY($1)`

// whoMay says who can put the tables into the publication.
func (s *Source) whoMay(ctx context.Context, conn *pgx.Conn, tables []*cdc.Table) string {
	owner := false
	if err := conn.QueryRow(ctx, whoMaySQL, OIDs(tables), s.options.Publication).Scan(&owner); err != nil || !owner {
		return "a superuser" // who always can
	}
	return "the tables' owner"
}

// OIDs are those of tables.
func OIDs(tables []*cdc.Table) []uint32 {
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.OID
	}
	return oids
}

func tableList(tables []*cdc.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = "ONLY " + pgx.Identifier{t.Schema, t.Name}.Sanitize()
	}
	return strings.Join(names, ", ")
}
