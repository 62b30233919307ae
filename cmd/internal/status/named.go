package status

import (
	"context"
	"fmt"
	"time"
)

// Named is a table of Postgres that source.tables names.
type Named struct {
	// Table is "schema.table".
	Table string
	// Published says that the publication has it: capture puts a table there before it copies it.
	Published bool
}

// PublishedBySchema goes on with a condition on the pg_class c and the pg_publication p: on servers that publish schemas (Postgres 15
// on), p publishes c's, or that of a table above it.
const PublishedBySchema = ` OR EXISTS (SELECT FROM pg_publication_namespace s JOIN pg_class o ON o.relnamespace = s.pnnspid
    WHERE s.pnpubid = p.oid AND (o.oid = c.oid OR o.oid IN (SELECT relid FROM pg_partition_ancestors(c.oid))))`

// PublishedSQL is a condition on the pg_class c: the publication of the name that parameter $1 gives publishes it. Unlike the view
// pg_publication_tables, which opens every table, it waits for no lock. version is the server's, as server_version_num.
func PublishedSQL(version int) string {
	schemas := ""
	if version >= 150000 {
		schemas = PublishedBySchema
	}
	return `c.relkind = 'r' AND c.relpersistence = 'p' AND EXISTS (SELECT FROM pg_publication p WHERE p.pubname = $1 AND (p.puballtables OR EXISTS (
    SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND (r.prrelid = c.oid OR r.prrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid))))` + schemas + `))`
}

// namedSQL lists what capture would look at, by name; temporary tables live in schemas of Postgres' own.
const namedSQL = `
SELECT coalesce(array_agg(n.nspname::text ORDER BY n.nspname, c.relname), '{}'), coalesce(array_agg(c.relname::text ORDER BY n.nspname, c.relname), '{}'),
  coalesce(array_agg(%s ORDER BY n.nspname, c.relname), '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

// ReadNamed asks Postgres for the tables that match, ordered by schema and name.
func ReadNamed(ctx context.Context, pg Querier, publication string, match func(schema, table string) bool) ([]Named, error) {
	var schemas, tables []string
	var published []bool
	began := time.Now()
	version := 0
	err := pg.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version)
	if err == nil {
		err = pg.QueryRow(ctx, fmt.Sprintf(namedSQL, PublishedSQL(version)), publication).Scan(&schemas, &tables, &published)
	}
	if err != nil {
		return nil, postgresError(ctx, "ask Postgres for its tables", began, err)
	}
	var out []Named
	for i := range tables {
		if match(schemas[i], tables[i]) {
			out = append(out, Named{Table: schemas[i] + "." + tables[i], Published: published[i]})
		}
	}
	return out, nil
}
