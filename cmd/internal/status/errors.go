package status

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// postgresError explains an error of Postgres or of the connection to it; began is when it was asked.
func postgresError(ctx context.Context, doing string, began time.Time, err error) *cdc.Problem {
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	p := cdc.Failed("%s", doing)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.Because(hangs("Postgres", "source.url", began))
	case errors.As(err, &connect):
		p.Because(postgres.ConnectError(err))
	case errors.As(err, &said):
		p.What += ": " + postgres.ServerError(said.Code, said.Message)
		if !strings.HasPrefix(said.Code, "57") && !strings.HasPrefix(said.Code, "53") { // it starts, stops, or has no resources left
			p.Of(cdc.ErrRefused).Fix("dirtbike explain postgres-rights")
		}
	default:
		p.Because(err)
	}
	return p.OrFix("see that Postgres runs and source.url is right")
}
