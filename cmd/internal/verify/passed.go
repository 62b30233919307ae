package verify

import (
	"context"
	"fmt"

	"dirtbike/cdc"
)

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
