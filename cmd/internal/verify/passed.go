package verify

import (
	"context"
	"errors"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
)

// errInexact says that a table cannot be compared now.
var errInexact = errors.New("the table is not exact")

// passed waits until complete_up_to of the table has reached lsn. While it has not it commits one logical message, so
// that an idle log gets there. A table that is not exact is errInexact.
func (v *verifier) passed(ctx context.Context, table string, lsn cdc.LSN) (wait.Position, error) {
	watch, nudged := wait.CaptureWatch{Slot: v.Slot}, false
	var at wait.Position
	ok, err := wait.Poll(ctx, v.Timeout, func() (bool, error) {
		rows, err := v.complete.Read(ctx)
		if err != nil {
			return false, err
		}
		row, known := rows[table]
		if !known || !row.Exact {
			return false, v.inexact(ctx, table, known)
		}
		at = row.Position
		behind := at.LSN < lsn || at.Epoch < v.Epoch
		if behind && !nudged {
			nudged = true
			_, err = v.control.EmitMessage(ctx, "verify")
		}
		if err == nil && behind && v.Slot != "" && watch.Due() {
			err = watch.Check(ctx, v.control)
		}
		return !behind, err
	})
	if err == nil && !ok {
		if err := watch.Nobody(); err != nil {
			return at, err
		}
		return at, cdc.Failed("table %s is complete up to %s, not yet up to %s, after %s", table, at.LSN, lsn, v.Timeout).
			Of(wait.ErrBehind).Fix("dirtbike status")
	}
	return at, err
}

func (v *verifier) inexact(ctx context.Context, table string, known bool) error {
	if !known {
		return cdc.Failed("ClickHouse does not know it yet").Of(errInexact)
	}
	reason, err := v.complete.Quarantine(ctx, table)
	if err != nil {
		return err
	}
	if reason == nil {
		reason = cdc.Failed("its first copy has not ended")
	}
	return reason.Of(errInexact)
}
