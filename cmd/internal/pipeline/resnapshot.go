package pipeline

import (
	"context"
	"errors"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse"
)

// Resnapshot copies the tables again, "schema.table", or all of them under the next epoch, from a new slot. It returns once the copies
// are committed to Kafka; load needs not run. See cdc.Capture.CopyAgain and Renew.
func Resnapshot(ctx context.Context, o Options, tables []string, all bool) error {
	o.anew = all
	var past cdc.Past
	if all {
		var err error
		if past, err = readPast(ctx, o); err != nil {
			return err
		}
	}
	capture, release, err := NewCapture(o)
	if err != nil {
		return err
	}
	defer release(context.WithoutCancel(ctx))
	if all {
		err = capture.Renew(ctx, past)
	} else {
		err = capture.CopyAgain(ctx, tables)
	}
	if err == nil || errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap) || errors.Is(err, cdc.ErrFenced) || errors.Is(err, cdc.ErrStillRefused) || errors.Is(err, cdc.ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w; what is committed to Kafka is safe. Try: the same command again, once that part is back", cdc.ErrUnreachable, err)
}

// readPast asks ClickHouse, which may know of epochs and generations that Kafka has lost.
func readPast(ctx context.Context, o Options) (cdc.Past, error) {
	conn, err := ClickHouse(o.Config)
	if err != nil {
		return cdc.Past{}, err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	past, err := clickhouse.ReadPast(ctx, conn, o.Config.ClickHouse.Database, o.Config.Kafka.Prefix)
	if err != nil {
		return past, fmt.Errorf("%w: %w. Nothing was changed. Try: see that ClickHouse runs and clickhouse.url is right", cdc.ErrUnreachable, err)
	}
	return past, nil
}
