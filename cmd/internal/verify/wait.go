package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/ops"
	"dirtbike/schemas"
)

// The reasons for which a comparison or a wait ends without an answer. They are wrapped with where and what to do.
var (
	// ErrNothingCompared says that no table was compared, which is no agreement.
	ErrNothingCompared = errors.New("no table was compared")
	// ErrBehind says that ClickHouse did not become complete in time.
	ErrBehind = errors.New("ClickHouse is not complete in time")
	// ErrUnreachable says that a server did not answer.
	ErrUnreachable = errors.New("no answer")
	// ErrNobody says that no capture runs.
	ErrNobody = errors.New("nothing new comes to ClickHouse")
	// ErrQuarantined says that a table cannot become exact by waiting.
	ErrQuarantined = errors.New("a table is quarantined")
)

// pollInterval is how often complete_up_to is read while something waits for it.
const pollInterval = 50 * time.Millisecond

// completeRow is a row of complete_up_to.
type completeRow struct {
	position
	exact bool
}

// completion reads complete_up_to.
type completion struct {
	conn     driver.Conn
	database string
}

// read gives the rows by table; none where load has never run.
func (c completion) read(ctx context.Context) (map[string]completeRow, error) {
	out := map[string]completeRow{}
	s := sink{conn: c.conn}
	err := s.query(ctx, "SELECT `table`, epoch, lsn, exact FROM "+identifier(c.database)+".complete_up_to", func(rows driver.Rows) error {
		var table string
		var epoch uint32
		var lsn uint64
		var exact uint8
		if err := rows.Scan(&table, &epoch, &lsn, &exact); err != nil {
			return sinkError(err)
		}
		out[table] = completeRow{position{epoch, cdc.LSN(lsn)}, exact != 0}
		return nil
	})
	if gone(err) {
		err = nil
	}
	return out, err
}

// reason says why a table is quarantined; "" if it is not.
func (c completion) reason(ctx context.Context, table string) (string, error) {
	var out []string
	s := sink{conn: c.conn}
	sql := "SELECT reason FROM " + identifier(schemas.StorageDatabase(c.database)) + ".quarantine FINAL WHERE open = 1 AND `table` = " + literal(table)
	err := s.query(ctx, sql, func(rows driver.Rows) error {
		var reason string
		err := rows.Scan(&reason)
		out = append(out, reason)
		return sinkError(err)
	})
	if gone(err) {
		err = nil
	}
	return ops.JoinReasons(out), err
}

// inexactError says that a table cannot be compared now.
type inexactError struct{ reason string }

func (e *inexactError) Error() string { return "the table is not exact: " + e.reason }

// passed waits until complete_up_to of the table has reached lsn. While it has not it commits one logical message, so that
// an idle log gets there. A table that is not exact is an *inexactError.
func (v *verifier) passed(ctx context.Context, table string, lsn cdc.LSN) (position, error) {
	watch, nudged := watch{slot: v.Slot}, false
	var at position
	ok, err := poll(ctx, v.Timeout, func() (bool, error) {
		rows, err := v.complete.read(ctx)
		if err != nil {
			return false, err
		}
		row, known := rows[table]
		if !known || !row.exact {
			return false, v.inexact(ctx, table, known)
		}
		at = row.position
		behind := at.lsn < lsn || at.epoch < v.Epoch
		if behind && !nudged {
			nudged = true
			_, err = v.control.nudge(ctx, "verify")
		}
		if err == nil && behind && v.Slot != "" && watch.due() {
			err = watch.look(ctx, v.control)
		}
		return !behind, err
	})
	if err == nil && !ok {
		if err := watch.nobody(); err != nil {
			return at, err
		}
		err = fmt.Errorf("%w: table %s is complete up to %s, not yet up to %s, after %s. Try: dirtbike status", ErrBehind, table, at.lsn, lsn, v.Timeout)
	}
	return at, err
}

func (v *verifier) inexact(ctx context.Context, table string, known bool) error {
	if !known {
		return &inexactError{"ClickHouse does not know it yet"}
	}
	reason, err := v.complete.reason(ctx, table)
	if err != nil {
		return err
	}
	if reason == "" {
		reason = "its first copy has not ended"
	}
	return &inexactError{reason}
}

// poll asks until done, an error, or the time is over (false).
func poll(ctx context.Context, timeout time.Duration, done func() (bool, error)) (bool, error) {
	over := time.NewTimer(timeout)
	defer over.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-over.C:
			return false, nil
		case <-tick.C:
		}
	}
}
