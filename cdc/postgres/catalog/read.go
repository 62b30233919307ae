package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/schemas"
)

// entry is a table of the catalog, captured or not.
type entry struct {
	rel *schemas.Relation
	// whole is rel with the columns that the publication does not send; nil if it sends all. unlisted says why the
	// table cannot be captured with the publication's column list.
	whole    *schemas.Relation
	unlisted *cdc.Problem
	// kind is pg_class.relkind, persistence relpersistence.
	kind, persistence string
	// noFull: Postgres (from 18 on) refuses updates and deletes of the table once it is published with the replica
	// identity FULL, since it has generated columns, which are not published.
	noFull   bool
	index    indexKey
	notKey   *cdc.Problem // why the table has no usable key; nil if it has one
	rows     int64
	textOnly bool     // some column has no binary decoder here
	labels   []string // what stands for the labels of the columns' enums, "<oid>=<transaction>"
}

// tablesSQL lists ordinary and partitioned tables outside Postgres' own schemas, with the key index that rule 9 asks
// for: under REPLICA IDENTITY USING INDEX that index, otherwise the primary key. An index on the columns of the primary
// key has them in the primary key's order, so that the key stays the same under every replica identity.
const tablesSQL = `
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.relreplident::text,
       greatest(c.reltuples, 0)::bigint,
       coalesce(p.indkey::int2[], i.indkey::int2[], '{}'), coalesce(i.indnkeyatts, 0)::int, coalesce(i.indimmediate, true),
       EXISTS (SELECT FROM pg_catalog.unnest(coalesce(i.indcollation::oid[], '{}')) WITH ORDINALITY AS x(coll, at)
               JOIN pg_collation l ON l.oid = x.coll WHERE NOT l.collisdeterministic),
       coalesce(pg_catalog.left(pg_catalog.obj_description(c.oid, 'pg_class'), $1), ''),
       pg_catalog.current_setting('server_version_num')::int >= 180000
         AND EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attnum > 0 AND NOT g.attisdropped AND g.attgenerated <> '')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid
     AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END
LEFT JOIN pg_index p ON p.indrelid = c.oid AND p.indisvalid AND p.indisprimary AND p.indnkeyatts = i.indnkeyatts
     AND (p.indkey::int2[])[0:p.indnkeyatts - 1] @> (i.indkey::int2[])[0:i.indnkeyatts - 1]
     AND (i.indkey::int2[])[0:i.indnkeyatts - 1] @> (p.indkey::int2[])[0:p.indnkeyatts - 1]
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname`

// columnsSQL lists the columns that pgoutput sends (stored generated columns are not in the stream, rule 20), with
// domains resolved to their base type and arrays to their element.
const columnsSQL = `
WITH RECURSIVE base AS (
  SELECT t.oid AS declared, t.oid AS base, -1 AS mod, t.typtype, t.typbasetype, t.typtypmod FROM pg_type t
  UNION ALL
  SELECT b.declared, t.oid, CASE WHEN b.mod = -1 THEN b.typtypmod ELSE b.mod END, t.typtype, t.typbasetype, t.typtypmod
  FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')
SELECT a.attrelid, a.attname::text, a.attnum, a.attnotnull OR dt.typnotnull, a.attstorage::text,
       a.atttypid, bt.oid, CASE WHEN dt.typtype = 'd' THEN b.mod ELSE a.atttypmod END, pg_catalog.format_type(a.atttypid, a.atttypmod),
       bt.typname::text, bt.typtype::text, bt.typnamespace = 'pg_catalog'::regnamespace,
       coalesce(et.oid, 0), coalesce(et.typname, '')::text,
       coalesce(pg_catalog.format_type(et.oid, CASE WHEN dt.typtype = 'd' THEN b.mod ELSE a.atttypmod END), ''),
       coalesce(et.typtype, '')::text, coalesce(et.typnamespace = 'pg_catalog'::regnamespace, false),
       coalesce(pg_catalog.left(pg_catalog.col_description(a.attrelid, a.attnum), $2), '')
FROM pg_attribute a
JOIN pg_type dt ON dt.oid = a.atttypid
JOIN base b ON b.declared = a.atttypid AND b.typtype <> 'd'
JOIN pg_type bt ON bt.oid = b.base
LEFT JOIN pg_type et ON et.typarray = bt.oid
WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attrelid, a.attnum`

// read lists all tables of the database.
func read(ctx context.Context, conn *pgx.Conn, database string) ([]*entry, error) {
	entries, err := readTables(ctx, conn, database)
	if err != nil {
		return nil, err
	}
	byOID := map[uint32]*entry{}
	oids := make([]uint32, len(entries))
	for i, e := range entries {
		byOID[e.rel.OID], oids[i] = e, e.rel.OID
	}
	if err := readColumns(ctx, conn, oids, byOID); err != nil {
		return nil, err
	}
	if err := readLabels(ctx, conn, oids, byOID); err != nil {
		return nil, err
	}
	for _, e := range entries {
		resolveKey(e)
	}
	return entries, nil
}

// indexKey is the key index, from pg_index.
type indexKey struct {
	attnums          []int16
	columns          int
	immediate        bool
	nondeterministic bool
}

func readTables(ctx context.Context, conn *pgx.Conn, database string) (entries []*entry, err error) {
	rel, e, identity := schemas.Relation{Database: database}, entry{}, ""
	k := &e.index
	err = postgres.Each(ctx, conn, "pg_class", []any{&rel.OID, &rel.Schema, &rel.Name, &e.kind, &e.persistence, &identity, &e.rows,
		&k.attnums, &k.columns, &k.immediate, &k.nondeterministic, &rel.Comment, &e.noFull}, func() {
		table, of := e, rel
		of.Identity, table.rel = cdc.ReplicaIdentity(identity[0]), &of
		entries = append(entries, &table)
	}, tablesSQL, schemas.CommentLength)
	return entries, err
}

func readColumns(ctx context.Context, conn *pgx.Conn, oids []uint32, byOID map[uint32]*entry) error {
	var oid, declaredOID uint32
	var c schemas.Column
	var storage, declared string
	var base, elem typeName
	var mod int32
	return postgres.Each(ctx, conn, "pg_attribute", []any{&oid, &c.Name, &c.Attnum, &c.NotNull, &storage, &declaredOID, &base.oid, &mod, &declared,
		&base.name, &base.class, &base.builtin, &elem.oid, &elem.name, &elem.declared, &elem.class, &elem.builtin, &c.Comment}, func() {
		c.Toastable = storage != "p"
		elem.declared = declaredName(elem.declared)
		c.Type = resolveType(declaredOID, mod, declaredName(declared), base, elem)
		e := byOID[oid]
		e.rel.Columns = append(e.rel.Columns, c)
		e.textOnly = e.textOnly || !decodesBinary(c.Type)
	}, columnsSQL, oids, schemas.CommentLength)
}

// declaredName leaves the schema public out of what format_type calls a type, as it does in most sessions of others:
// the name is part of the schemas in the registry, and of fingerprints that are kept.
func declaredName(formatted string) string { return strings.TrimPrefix(formatted, "public.") }

// internalChar is "char", whose binary form is a raw byte that need not be UTF-8; its text form is.
const internalChar = 18

// decodesBinary reports whether this module decodes the binary form of the type.
func decodesBinary(t schemas.Type) bool {
	if t.Base == internalChar {
		return false
	}
	if t.Kind == schemas.KindArray {
		return decodesBinary(*t.Elem)
	}
	return schemas.Row(t.Kind).Binary
}

// resolveKey finds the table key (rule 9), or why there is none.
func resolveKey(e *entry) {
	if e.notKey = unusableKey(e); e.notKey != nil {
		return
	}
	for _, attnum := range e.index.attnums[:e.index.columns] {
		if at := slices.IndexFunc(e.rel.Columns, func(c schemas.Column) bool { return c.Attnum == attnum }); at >= 0 {
			e.rel.Key = append(e.rel.Key, at)
		}
	}
	if len(e.rel.Key) != e.index.columns {
		e.notKey = cdc.Failed("its key holds a generated column, which Postgres does not send").
			Fix("REPLICA IDENTITY USING INDEX with another unique index")
		e.rel.Key = nil
	}
}

// unusableKey says why the key index identifies no rows; nil if it does.
func unusableKey(e *entry) *cdc.Problem {
	rel, k, table := e.rel, e.index, e.rel.SQLName()
	switch {
	case rel.Identity == cdc.IdentityNothing:
		return cdc.Failed("its replica identity is NOTHING, so Postgres would refuse updates once it is published").
			Fix("ALTER TABLE %s REPLICA IDENTITY DEFAULT", table)
	case k.columns == 0 && rel.Identity == cdc.IdentityIndex:
		return cdc.Failed("its replica identity names an index that is gone").Fix("ALTER TABLE %s REPLICA IDENTITY DEFAULT", table)
	case k.columns == 0:
		return withoutKey(e)
	case !k.immediate:
		return cdc.Failed("its key is DEFERRABLE, so that within a transaction two rows may have one key").
			Fix("make the key of %s NOT DEFERRABLE", table)
	case k.nondeterministic:
		return cdc.Failed("its key has a nondeterministic collation: equal keys may have different bytes").
			Fix("give the key columns of %s a deterministic collation", table)
	}
	return nil
}

// withoutKey names all that gives a table a key: any one of them is enough.
func withoutKey(e *entry) *cdc.Problem {
	table := e.rel.SQLName()
	p := cdc.Failed("it has no primary key").Fix("give %s a primary key", table).
		Fix("ALTER TABLE %s REPLICA IDENTITY USING INDEX with a unique index on NOT NULL columns", table)
	if e.noFull {
		return p
	}
	return p.Fix("ALTER TABLE %s REPLICA IDENTITY FULL, and name NOT NULL columns that have a unique index in source.keys", table)
}

// labelsSQL lists the labels of the enums that columns are made of: themselves, or beneath domains, as elements of
// arrays, in composites and in ranges, however deep; and the attributes of such composites, all of one in one line, so
// that one that is added is a change. A label is a value that rows hold, so that neither it nor a hash of it, which
// could be guessed, may be stored: the transaction that wrote its row of pg_enum stands for it. That changes when the
// label is renamed, and (rarely) when labels are put between others and Postgres numbers all of the type's anew.
const labelsSQL = `
WITH RECURSIVE part (relation, type) AS (
  SELECT attrelid, atttypid FROM pg_attribute WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped
  UNION
  SELECT part.relation, inner_type.oid FROM part JOIN pg_type t ON t.oid = part.type CROSS JOIN LATERAL (
    SELECT t.typbasetype UNION ALL SELECT t.typelem
    UNION ALL SELECT atttypid FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT rngsubtype FROM pg_range WHERE t.oid IN (rngtypid, rngmultitypid)) AS inner_type (oid)
  WHERE inner_type.oid <> 0)
SELECT part.relation, l.oid, true, l.xmin::text FROM part JOIN pg_enum l ON l.enumtypid = part.type
UNION ALL
SELECT part.relation, t.typrelid, false, pg_catalog.string_agg(pg_catalog.format('%s %s %s %s', a.attnum, a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attnum)
FROM part JOIN pg_type t ON t.oid = part.type JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY part.relation, t.typrelid`

func readLabels(ctx context.Context, conn *pgx.Conn, oids []uint32, byOID map[uint32]*entry) error {
	var relation, part uint32
	var label bool
	var text string
	return postgres.Each(ctx, conn, "pg_enum", []any{&relation, &part, &label, &text}, func() {
		if !label { // names and types of attributes, which are no values
			print := sha256.Sum256([]byte(text))
			text = fmt.Sprintf("%x", print[:4])
		}
		byOID[relation].labels = append(byOID[relation].labels, fmt.Sprintf("%d=%s", part, text))
	}, labelsSQL, oids)
}
