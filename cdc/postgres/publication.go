package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dirtbike/cdc"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Published implements cdc.Source.
func (s *Source) Published(ctx context.Context, tables []*cdc.Table) (found bool, members map[uint32]cdc.PublishedBy, err error) {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return false, nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	return s.published(ctx, conn, tables)
}

// EnsurePublication implements cdc.Source. What it may not change itself it refuses with the statement that does.
func (s *Source) EnsurePublication(ctx context.Context, tables []*cdc.Table) error {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	found, members, err := s.published(ctx, conn, tables)
	missing := slices.DeleteFunc(slices.Clone(tables), func(t *cdc.Table) bool { return len(members[t.OID]) > 0 })
	switch name := quote(s.options.Publication); {
	case err != nil:
		return err
	case !found:
		return s.execute(ctx, conn, "CREATE PUBLICATION "+name+" FOR TABLE "+tableList(tables), tables)
	case len(missing) > 0:
		return s.execute(ctx, conn, "ALTER PUBLICATION "+name+" ADD TABLE "+tableList(missing), missing)
	}
	return nil
}

func (s *Source) published(ctx context.Context, conn *pgx.Conn, tables []*cdc.Table) (found bool, members map[uint32]cdc.PublishedBy, err error) {
	name := s.options.Publication
	var complete, viaRoot, generated bool
	err = conn.QueryRow(ctx, `SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot, coalesce(to_jsonb(p)->>'pubgencols', 'n') <> 'n'
		FROM pg_publication p WHERE pubname = $1`, name).Scan(&complete, &viaRoot, &generated)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil, nil
	case err != nil:
		return false, nil, fmt.Errorf("read pg_publication: %w", err)
	case !complete:
		return true, nil, fmt.Errorf("%w: publication %s leaves operations out. Try: ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", cdc.ErrRefused, name, quote(name))
	case viaRoot:
		return true, nil, fmt.Errorf("%w: publication %s has publish_via_partition_root, which hides TRUNCATE, ATTACH and DETACH of partitions. Try: ALTER PUBLICATION %s SET (publish_via_partition_root = false)", cdc.ErrRefused, name, quote(name))
	case generated:
		return true, nil, fmt.Errorf("%w: publication %s sends generated columns, which dirtbike withholds. Try: ALTER PUBLICATION %s SET (publish_generated_columns = none)", cdc.ErrRefused, name, quote(name))
	}
	if err := s.refuseFilters(ctx, conn, name); err != nil {
		return true, nil, err
	}
	members, err = s.members(ctx, conn, name, tables)
	return true, members, err
}

// refuseFilters refuses row filters and column lists (Postgres 15 on): both leave changes out silently.
func (s *Source) refuseFilters(ctx context.Context, conn *pgx.Conn, name string) error {
	if serverMajor(conn) < 15 {
		return nil
	}
	var filtered string
	err := conn.QueryRow(ctx, `SELECT coalesce(string_agg(format('%I.%I', n.nspname, c.relname), ', '), '') FROM pg_publication_rel r
		JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE p.pubname = $1 AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)`, name).Scan(&filtered)
	if err != nil {
		return fmt.Errorf("read pg_publication_rel: %w", err)
	}
	if filtered != "" {
		return fmt.Errorf("%w: publication %s has a row filter or column list on %s, so changes would be missing. Try: ALTER PUBLICATION %s DROP TABLE %s, then ADD TABLE without it (withhold columns under privacy instead)", cdc.ErrRefused, name, filtered, quote(name), filtered)
	}
	return nil
}

// membersSQL names what publishes each table: its own row of pg_publication_rel, that of its schema (schemaSQL), or the publication
// itself if it is for all tables; a partition is published by those of the tables above it, too. Whatever could be undone and done
// again without giving another row is part of the name: the xmin of the publication (its options), of the rows of pg_inherits on the
// way up (DETACH and ATTACH), and of the dependency on the schema (SET SCHEMA). None of these is updated by anything else, but for the
// publication, which a new owner or name updates, too: then every table looks as if it had left, which is the safe side.
// Whether a table that is named is published at all, its kind and persistence say: the view pg_publication_tables opens every table,
// and so waits for whoever has locked one.
//
// Not seen: a table made UNLOGGED and LOGGED again between two looks; only one that is published by its schema, or with all tables,
// can be.
const membersSQL = `
WITH RECURSIVE up AS (
  SELECT c.oid AS relation, c.oid AS of, '' AS way, c.relispartition AS more FROM pg_class c WHERE c.oid = ANY($2)
  UNION ALL
  SELECT up.relation, i.inhparent, format('%s below %s %s', up.way, i.inhparent, i.xmin), c.relispartition
  FROM up JOIN pg_inherits i ON i.inhrelid = up.of JOIN pg_class c ON c.oid = i.inhparent WHERE up.more),
published AS (SELECT p.oid, p.puballtables, p.xmin FROM pg_publication p WHERE p.pubname = $1)
SELECT up.relation, format('%s%s of %s %s', m.name, up.way, p.oid, p.xmin)
FROM published p CROSS JOIN up CROSS JOIN LATERAL (
  SELECT format('table %s', r.oid) AS name FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = up.of
  UNION ALL
  SELECT 'all tables' WHERE p.puballtables AND up.relation = up.of`

// schemaSQL goes on with membersSQL on servers that publish schemas (Postgres 15 on).
const schemaSQL = `
  UNION ALL
  SELECT format('schema %s %s', n.oid, d.xmin) FROM pg_class c JOIN pg_publication_namespace n ON n.pnnspid = c.relnamespace AND n.pnpubid = p.oid
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = 'pg_namespace'::regclass
  WHERE c.oid = up.of`

// publishedSQL ends membersSQL.
const publishedSQL = `) m
WHERE up.relation IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p')
ORDER BY 1, 2`

// members lists what publishes each of the tables, by OID; a table without an entry is not published.
func (s *Source) members(ctx context.Context, conn *pgx.Conn, name string, tables []*cdc.Table) (map[uint32]cdc.PublishedBy, error) {
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.OID
	}
	sql := membersSQL
	if serverMajor(conn) >= 15 {
		sql += schemaSQL
	}
	rows, err := conn.Query(ctx, sql+publishedSQL, name, oids)
	if err != nil {
		return nil, fmt.Errorf("read pg_publication_rel: %w", err)
	}
	out := map[uint32]cdc.PublishedBy{}
	var oid uint32
	var member string
	_, err = pgx.ForEachRow(rows, []any{&oid, &member}, func() error {
		out[oid] = append(out[oid], member)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read pg_publication_rel: %w", err)
	}
	return out, nil
}

// execute runs a statement of ours; without the right to it the error holds the statement, for somebody who has the right.
func (s *Source) execute(ctx context.Context, conn *pgx.Conn, sql string, tables []*cdc.Table) error {
	_, err := conn.Exec(ctx, sql)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" {
		return fmt.Errorf("%w: %s. Try, as %s: %s", cdc.ErrRefused, pgErr.Message, s.whoMay(ctx, conn, tables), sql)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// whoMaySQL: one role owns all the tables, and may make a publication, or owns the one that is there.
const whoMaySQL = `SELECT count(DISTINCT relowner) = 1 AND bool_and(has_database_privilege(relowner, current_database(), 'CREATE'))
  AND NOT EXISTS (SELECT FROM pg_publication WHERE pubname = $2 AND NOT pg_has_role((SELECT min(relowner::int8)::oid FROM pg_class WHERE oid = ANY($1)), pubowner, 'USAGE'))
FROM pg_class WHERE oid = ANY($1)`

// whoMay says who can put the tables into the publication.
func (s *Source) whoMay(ctx context.Context, conn *pgx.Conn, tables []*cdc.Table) string {
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.OID
	}
	owner := false
	if err := conn.QueryRow(ctx, whoMaySQL, oids, s.options.Publication).Scan(&owner); err != nil || !owner {
		return "a superuser" // who always can
	}
	return "the tables' owner"
}

func tableList(tables []*cdc.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = "ONLY " + pgx.Identifier{t.Schema, t.Name}.Sanitize()
	}
	return strings.Join(names, ", ")
}
