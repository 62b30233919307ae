package status

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/console"
)

// postgresError makes one line, with what to do, of what Postgres or the way to it said; began is when it was asked.
func postgresError(ctx context.Context, doing string, began time.Time, err error) error {
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	problem := cdc.Failed("%s", doing)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		problem.Because(hangs("Postgres", "source.url", began))
	case errors.As(err, &connect):
		problem.Because(postgres.ConnectError(err))
	case errors.As(err, &said):
		problem.What += ": " + OneLine(postgres.ServerError(said.Code, said.Message))
		if !passing(said.Code) {
			problem.Of(cdc.ErrRefused).Fix("dirtbike explain postgres-rights")
		}
	default:
		problem.Because(oneLineError{err})
	}
	return problem.OrFix("see that Postgres runs and source.url is right")
}

// passing reports whether an error of that code goes by itself: the server starts, stops, or has no resources left.
func passing(code string) bool { return strings.HasPrefix(code, "57") || strings.HasPrefix(code, "53") }

// oneLineError keeps an error to one line.
type oneLineError struct{ error }

func (e oneLineError) Error() string { return OneLine(e.error.Error()) }

// OneTry makes an error end with one way out: its own first one, or else try. It wraps err.
func OneTry(err error, try string) error { return oneTry{err, try} }

type oneTry struct {
	error
	try string
}

func (e oneTry) Unwrap() error { return e.error }

func (e oneTry) Error() string {
	text := OneLine(e.error.Error())
	if ways := console.Way.FindAllStringIndex(text, 2); len(ways) == 2 {
		return text[:ways[1][0]]
	} else if len(ways) == 1 {
		return text
	}
	return strings.TrimRight(text, ".;,") + ". Try: " + e.try
}

// JoinReasons joins reasons in one line that has at most one way out, the first one's, at its end.
func JoinReasons(reasons []string) string {
	var what []string
	try := ""
	for _, reason := range reasons {
		what = append(what, withoutTry(reason))
		ways := console.Way.FindAllStringIndex(OneLine(reason), 2)
		switch {
		case try != "" || len(ways) == 0:
		case len(ways) == 1:
			try = OneLine(reason)[ways[0][0]:]
		default:
			try = OneLine(reason)[ways[0][0]:ways[1][0]]
		}
	}
	if try != "" {
		try = "." + try
	}
	return strings.Join(what, "; ") + try
}

func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
