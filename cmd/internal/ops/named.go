package ops

import (
	"context"
	"time"
)

// Named is a table of Postgres that source.tables names.
type Named struct {
	// Table is "schema.table".
	Table string
	// Published says that the publication has it: capture puts a table there before it copies it.
	Published bool
}

// namedSQL lists what capture would look at, by name; temporary tables live in schemas of Postgres' own.
const namedSQL = `
SELECT coalesce(array_agg(n.nspname::text ORDER BY n.nspname, c.relname), '{}'), coalesce(array_agg(c.relname::text ORDER BY n.nspname, c.relname), '{}'),
  coalesce(array_agg(p.pubname IS NOT NULL ORDER BY n.nspname, c.relname), '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_publication_tables p ON p.pubname = $1 AND p.schemaname = n.nspname AND p.tablename = c.relname
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

// ReadNamed asks Postgres for the tables that match, ordered by schema and name.
func ReadNamed(ctx context.Context, pg Querier, publication string, match func(schema, table string) bool) ([]Named, error) {
	var schemas, tables []string
	var published []bool
	began := time.Now()
	if err := pg.QueryRow(ctx, namedSQL, publication).Scan(&schemas, &tables, &published); err != nil {
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
