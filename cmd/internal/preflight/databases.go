package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const databasesSlug = "clickhouse-databases"

// judgeDatabases: views are replaced and storage is made at once only in an Atomic database, and two pipelines must not
// share one.
func (r *run) judgeDatabases(ctx context.Context, p *part, conn driver.Conn) {
	name := r.config.ClickHouse.Database
	var names, engines []string
	if err := conn.QueryRow(ctx, "SELECT groupArray(name), groupArray(engine) FROM system.databases").Scan(&names, &engines); err != nil {
		p.error(databasesSlug, name, fmt.Errorf("look up database %s: %w", name, clickHouseError(err)))
		return
	}
	for _, database := range []string{name, schemas.StorageDatabase(name)} {
		switch at := slices.Index(names, database); {
		case at < 0:
			p.ok(databasesSlug, database, "it is not there; dirtbike makes it")
		case engines[at] != "Atomic":
			p.fail(databasesSlug, database, setting("clickhouse", "database", free(names, name+"_dirtbike")), "its engine is %s, and must be Atomic: use a database that dirtbike makes itself", engines[at])
		default:
			p.ok(databasesSlug, database, "Atomic")
		}
	}
	r.judgeOwner(ctx, p, conn, names)
}

// judgeOwner asks the loader whether it would refuse the database for another pipeline that loads into it.
func (r *run) judgeOwner(ctx context.Context, p *part, conn driver.Conn, names []string) {
	name := r.config.ClickHouse.Database
	err := ledger.New(conn, name).CheckOwner(ctx, r.config.Kafka.Prefix)
	switch {
	case err == nil:
		p.ok(databasesSlug, name, "no other pipeline loads into it")
	case errors.Is(err, cdc.ErrRefused):
		p.fail(databasesSlug, name, setting("clickhouse", "database", free(names, name+"_2")), "%s", cdc.Explain(err).What)
	case errcode.Of(err) == proto.ErrAccessDenied: // the rights have a check of their own
	case errcode.Of(err) != 0: // an answer, if none that helps
		p.error(databasesSlug, name, fmt.Errorf("%w: %w", cdc.ErrRefused, err))
	default:
		p.error(databasesSlug, name, err)
	}
}

// free is the first name from this one on that no database has, nor its storage.
func free(names []string, name string) string {
	for next := name; ; next += "_2" {
		if !slices.Contains(names, next) && !slices.Contains(names, schemas.StorageDatabase(next)) {
			return next
		}
	}
}
