package pipeline

import (
	"context"
	"errors"
	"slices"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/status"
	"dirtbike/sinks/clickhouse/ledger"
)

// Resnapshot copies the tables again, "schema.table", or all of them under the next epoch, from a new slot. It returns
// once the copies are committed to Kafka; load needs not run. left says which new tables were left out, and why. See
// capture.Capture.Resnapshot and ResnapshotAll.
func Resnapshot(ctx context.Context, o Options, tables []string, all bool) (left string, err error) {
	o.replacesState = all
	var past cdc.HighWater
	if all {
		if past, err = readPast(ctx, o); err != nil {
			return "", err
		}
	}
	copier, release, err := NewCapture(o)
	if err != nil {
		return "", err
	}
	defer release(context.WithoutCancel(ctx))
	if all {
		err = copier.ResnapshotAll(ctx, past)
	} else {
		err = copier.Resnapshot(ctx, tables)
	}
	left = copier.LeftOut()
	known := []error{cdc.ErrRefused, cdc.ErrGap, cdc.ErrFenced, cdc.ErrUnreachable, capture.ErrStillRefused}
	if err == nil || ctx.Err() != nil || slices.ContainsFunc(known, func(kind error) bool { return errors.Is(err, kind) }) {
		return left, err
	}
	return left, copyFailed(err)
}

// copyFailed keeps the error's own way out, if it has one.
func copyFailed(err error) error {
	return (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Keeps("What is committed to Kafka is safe").
		OrFix("the same command again, once that part is back")
}

// readPast asks ClickHouse, which may know of epochs and generations that Kafka has lost.
func readPast(ctx context.Context, o Options) (past cdc.HighWater, err error) {
	conn, err := ClickHouse(o.Config)
	if err != nil {
		return past, err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	asking, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	past, err = status.Within(asking, func(ctx context.Context) (cdc.HighWater, error) {
		return ledger.New(conn, o.Config.ClickHouse.Database).HighWater(ctx, o.Config.Kafka.Prefix)
	})
	if asking.Err() != nil && ctx.Err() == nil {
		err = clickHouseSilent()
	}
	if err != nil {
		return past, (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Keeps("Nothing was changed").OrFix(tryClickHouse)
	}
	return past, nil
}

// clickHouseSilent says that ClickHouse took a question and did not answer within loginTime.
func clickHouseSilent() *cdc.Problem {
	return cdc.Failed("ClickHouse hangs: nothing within %s", loginTime).Of(cdc.ErrUnreachable).Fix(tryClickHouse)
}
