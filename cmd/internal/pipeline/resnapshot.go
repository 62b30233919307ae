package pipeline

import (
	"context"
	"errors"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/status"
	"dirtbike/sinks/clickhouse/ledger"
)

// Resnapshot copies the tables again, "schema.table", or all of them under the next epoch, from a new slot. It returns
// once the copies are committed to Kafka; load needs not run. See capture.Capture.Resnapshot and ResnapshotAll.
func Resnapshot(ctx context.Context, o Options, tables []string, all bool) error {
	o.replacesState = all
	var past cdc.HighWater
	if all {
		var err error
		if past, err = readPast(ctx, o); err != nil {
			return err
		}
	}
	copier, release, err := NewCapture(o)
	if err != nil {
		return err
	}
	defer release(context.WithoutCancel(ctx))
	if all {
		err = copier.ResnapshotAll(ctx, past)
	} else {
		err = copier.Resnapshot(ctx, tables)
	}
	if err == nil || errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap) || errors.Is(err, cdc.ErrFenced) || errors.Is(err, capture.ErrStillRefused) || errors.Is(err, cdc.ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	return copyFailed(err)
}

// copyFailed keeps the error's own way out, if it has one.
func copyFailed(err error) error {
	return (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Keeps("What is committed to Kafka is safe").
		OrFix("the same command again, once that part is back")
}

// readPast asks ClickHouse, which may know of epochs and generations that Kafka has lost.
func readPast(ctx context.Context, o Options) (cdc.HighWater, error) {
	conn, err := ClickHouse(o.Config)
	if err != nil {
		return cdc.HighWater{}, err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	asking, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	past, err := status.Within(asking, func(ctx context.Context) (cdc.HighWater, error) {
		return ledger.New(conn, o.Config.ClickHouse.Database).HighWater(ctx, o.Config.Kafka.Prefix)
	})
	if asking.Err() != nil && ctx.Err() == nil {
		return past, clickHouseSilent().Keeps("Nothing was changed")
	}
	if err != nil {
		return past, (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Keeps("Nothing was changed").
			OrFix("see that ClickHouse runs and clickhouse.url is right")
	}
	return past, nil
}

// clickHouseSilent says that ClickHouse took a question and did not answer within loginTime.
func clickHouseSilent() *cdc.Problem {
	return cdc.Failed("ClickHouse hangs: nothing within %s", loginTime).Of(cdc.ErrUnreachable).Fix("see that ClickHouse runs and clickhouse.url is right")
}
