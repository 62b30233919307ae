package clickhouse

import (
	"cmp"
	"context"
	"errors"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// Errors are sorted by whose they are:
//
//	the pipeline's  ends load: the list Stops
//	the server's    is waited for where it happens, since nobody can go on (outage.retry): connection, bookkeeping
//	one table's     and final: the table is quarantined
//	one table's     and maybe passing, or of an unknown code: that table waits (unsettled, held)

// unsettled is an error that concerns one table only, and may go away: the table waits.
type unsettled struct {
	what string // what was tried
	err  error
}

// Error implements error, without row values.
func (u *unsettled) Error() string { return u.what + ": " + withoutValues(u.err) }

// Unwrap gives the error beneath.
func (u *unsettled) Unwrap() error { return u.err }

// isUnsettled reports whether a table is to wait.
func isUnsettled(err error) bool {
	var u *unsettled
	return errors.As(err, &u)
}

// once calls f for one table, and never waits: what may go away is unsettled. It is a retry.
func (o *outage) once(ctx context.Context, what string, f func(context.Context) error) error {
	err := f(ctx)
	if err == nil || ctx.Err() != nil || isFinal(err) || isUnsettled(err) {
		return cmp.Or(ctx.Err(), err)
	}
	return &unsettled{what, err}
}

// ofTable calls f for one table, and waits only while the server is away. It is a retry.
func (o *outage) ofTable(ctx context.Context, what string, f func(context.Context) error) error {
	var theirs error
	err := o.retry(ctx, what, func(ctx context.Context) error {
		theirs = nil
		err := f(ctx)
		if err != nil && !errcode.Away(err) {
			theirs, err = err, nil
		}
		return err
	})
	if err == nil && theirs != nil {
		return o.once(ctx, what, func(context.Context) error { return theirs })
	}
	return err
}

// reasonOf says why a table is quarantined, without row values, and with the way out of it: a new copy.
func reasonOf(err error, table string) string {
	return cdc.Explain(errcode.Explain(err)).ThenCopy(table).Error()
}

// isFinal reports whether the same would fail again: it stops load, or quarantines a table.
func isFinal(err error) bool {
	return errcode.OwnerOf(err) == errcode.OfRows || isStop(err) || errors.Is(err, cdc.ErrRefused) || errors.Is(err, errSchema) ||
		errors.Is(err, schemas.ErrNoSchema)
}
