package status

import (
	"context"
	"time"

	"dirtbike/cdc/postgres"
)

// Named is a table of Postgres that source.tables names.
type Named struct {
	// Table is "schema.table".
	Table string
	// Published says that the publication has it: capture puts a table there before it copies it.
	Published bool
}

// namedSQL lists what capture would consider, by name; temporary tables are in schemas of Postgres' own.
const namedSQL = `
SELECT c.oid, n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY n.nspname, c.relname`

// ReadNamed asks Postgres for the tables that match, ordered by schema and name.
func ReadNamed(ctx context.Context, pg postgres.Querier, publication string, match func(schema, table string) bool) ([]Named, error) {
	began := time.Now()
	out, err := readNamed(ctx, pg, publication, match)
	if err != nil {
		return nil, postgresError(ctx, "ask Postgres for its tables", began, err)
	}
	return out, nil
}

func readNamed(ctx context.Context, pg postgres.Querier, publication string, match func(schema, table string) bool) ([]Named, error) {
	var oids []uint32
	var out []Named
	var oid uint32
	var schema, table string
	err := postgres.Each(ctx, pg, "pg_class", []any{&oid, &schema, &table}, func() {
		if match(schema, table) {
			oids, out = append(oids, oid), append(out, Named{Table: schema + "." + table})
		}
	}, namedSQL)
	if err != nil {
		return nil, err
	}
	p, err := postgres.ReadPublication(ctx, pg, publication, oids)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Published = p.PublishedBy(oids[i]) != nil
	}
	return out, nil
}
