package pipeline

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/cmd/internal/verify"
	"dirtbike/cmd/internal/wait"
	"dirtbike/config"
)

// Wait returns once ClickHouse is complete up to the source's position at the moment of the call, or after the timeout.
// A table that was created after capture started, or that capture has left out, is an error at once; a table that can
// no longer be captured exactly is an error at the end, and so is a Postgres that is not the one that was captured.
// Without a timeout (0) it is a minute, in which the first copy does not count.
//
// Kafka is asked, too, for what capture has stored; log gets a warning where this login may not read it. say gets a
// line now and then about a server that is away; nil asks nothing.
func Wait(ctx context.Context, c *config.Config, log *zap.Logger, timeout time.Duration, say func(line string)) error {
	conn, err := ClickHouse(c)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	health, err := NewHealth(c)
	if err != nil {
		return err
	}
	defer health.Close()
	var refused map[string]*cdc.Problem
	err = wait.Complete(ctx, wait.Options{
		Source: c.Source.URL.Reveal(), ClickHouse: conn, Database: c.ClickHouse.Database, Timeout: timeout, FirstCopy: timeout == 0, Slot: c.Source.Slot,
		Parts: health.parts(), Say: say,
		Epoch: func(ctx context.Context) (uint32, error) {
			state, err := storedState(ctx, c, log)
			if err != nil {
				return 0, err
			}
			return checkHistory(ctx, c, state)
		},
		Tables: func(ctx context.Context) (names []string, err error) {
			named, err := readNamed(ctx, c, quietState(c))
			if err != nil {
				return nil, err
			}
			refused = named.refused
			for _, rel := range named.relations {
				names = append(names, rel.FullName())
			}
			return names, named.uncapturedError()
		},
	})
	if err == nil && len(refused) > 0 {
		return cdc.Failed("not exact, though all other tables are").Because(together(refused))
	}
	return err
}

// Verify compares every captured table, or those named, row by row. It makes no hash key, and refuses one other than
// that of the topics, and a Postgres that is not the one that was captured. progress gets the table that is being
// compared and its rows so far; it must not block. say gets a line where somebody's lock is
// waited for; nil asks nothing.
func Verify(ctx context.Context, c *config.Config, log *zap.Logger, only []string, progress func(table string, done int64), say func(line string)) (verify.Report, error) {
	policies, prints, err := ExistingPolicies(c)
	if err != nil {
		return verify.Report{}, err
	}
	named, err := readNamed(ctx, c, quietState(c))
	if err != nil {
		return verify.Report{}, err
	}
	state, err := storedState(ctx, c, log)
	if err != nil {
		return verify.Report{}, err
	}
	if err := checkFingerprints(c, prints, state); err != nil {
		return verify.Report{}, err
	}
	epoch, err := checkHistory(ctx, c, state)
	if err != nil {
		return verify.Report{}, err
	}
	chosen, refused, err := named.choose(only)
	if err != nil {
		return verify.Report{}, err
	}
	conn, err := ClickHouse(c)
	if err != nil {
		return verify.Report{}, err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	if err := clickHouseAnswers(ctx, conn); err != nil {
		return verify.Report{}, err
	}
	return verify.Run(ctx, verify.Options{
		Source: c.Source.URL.Reveal(), ClickHouse: conn, Database: c.ClickHouse.Database, Tables: chosen, Refused: refused, Policies: policies,
		Epoch: epoch, Slot: c.Source.Slot, Prefix: c.Kafka.Prefix, ChunkRows: c.Verify.ChunkRows, RowsPerSecond: c.Verify.RowsPerSecond, Log: log,
		OnProgress: progress, OnWait: say,
	})
}

// clickHouseAnswers asks ClickHouse one question: the client itself waits long for a server that hangs.
func clickHouseAnswers(ctx context.Context, conn driver.Conn) error {
	asking, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	_ = status.Answers(asking, conn.Ping) // the next request finds any other error
	if asking.Err() != nil && ctx.Err() == nil {
		return clickHouseSilent()
	}
	return nil
}
